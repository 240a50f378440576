/* The legends above the figures: what each mark means, and its value at the setting. */

import { precision } from "./numbers.js";
import { exactly, fixed } from "./words.js";

/** Return the entries of a figure's legend as elements. */
export function legends(name, found, truth) {
  return ENTRIES[name](found, truth).map(([style, text, value]) => entry(style, text, value));
}

function entry(style, text, value) {
  const item = document.createElement("li");
  const mark = document.createElement("i");
  mark.className = style;
  mark.setAttribute("aria-hidden", "true");
  const strong = document.createElement("b");
  strong.textContent = value ?? "";
  item.append(mark, ` ${text} `, strong);
  return item;
}

const ENTRIES = {
  gap: legendOfGap,
  entropy: legendOfEntropy,
  precision: legendOfPrecision,
  labels: legendOfLabels,
  ascent: legendOfAscent,
  stages: legendOfStages,
};

function legendOfGap({ gap: curves, setting }, truth) {
  const at = (curve) => exactly(curve[setting.e1 - 1]);
  if (!truth) {
    return [["neutral circle", "all samples", at(curves.all)]];
  }
  return [
    ["poisoned square", "poisoned", at(curves.poisoned)],
    ["clean circle", "clean", at(curves.clean)],
  ];
}

function legendOfEntropy({ filter }, truth) {
  const samples = truth
    ? [["poisoned square", "poisoned"], ["clean square", "clean"]]
    : [["neutral square", "all samples"]];
  return [
    ...samples,
    ["suspects-cut", "suspects end", `${fixed(filter.suspects_end, 2)} bits`],
    ["trusted-cut", "trusted begin", `${fixed(filter.trusted_begin, 2)} bits`],
  ];
}

function legendOfPrecision({ filter }, truth) {
  if (!truth) {
    return [];
  }
  const { suspected, trusted } = precision(filter);
  return [
    ["poisoned square", "suspects poisoned", exactly(suspected)],
    ["clean circle", "trusted clean", exactly(trusted)],
  ];
}

function legendOfLabels(_, truth) {
  if (!truth) {
    return [["neutral square", "suspects"]];
  }
  return [["poisoned square", "poisoned"], ["clean square", "clean"]];
}

function legendOfAscent({ unlearned }, truth) {
  const at = (name) => (unlearned === null ? "" : exactly(unlearned[name]));
  const seen = [
    ["reestimated", "suspects, re-estimated", at("reestimated")],
    ["left", "as left", at("left")],
  ];
  if (!truth) {
    return seen;
  }
  return [["clean circle", "CA", at("ca")], ["poisoned square", "ASR", at("asr")], ...seen];
}

function legendOfStages({ made }, truth) {
  if (!truth) {
    return [];
  }
  return [
    ["ca square", "CA"],
    ["asr square", "ASR"],
    ["ra square", "RA"],
    ["recall square", `recall of the target “${made.classes[made.target]}”`],
  ];
}
