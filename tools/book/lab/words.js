/* The page's words. The sentence has the texts of the live lab, which stand beside the numbers. */

import { mostFrequentLabel, precision, suspectsByLabel, targetImages } from "./numbers.js";

/** Return a number with so many decimals; what lies in the middle goes to the even one. */
export function fixed(value, digits) {
  const exact = value.toFixed(60);
  const end = exact.indexOf(".") + (digits > 0 ? 1 + digits : 0);
  const lower = exact.slice(0, end);
  const isMiddle = /^\.?50*$/.test(exact.slice(end));
  return isMiddle && Number(lower.at(-1)) % 2 === 0 ? lower : value.toFixed(digits);
}

/** Return a share as a whole number of per cent. */
export function percent(share) {
  return `${fixed(100 * share, 0)}%`;
}

/** Return a share in per cent with one decimal. */
export function exactly(share) {
  return `${fixed(100 * share, 1)}%`;
}

function counted(number, noun) {
  return number === 1 ? `${number} ${noun}` : `${number} ${noun}s`;
}

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Return what a setting has led to; with the truth, or as a defender sees it. */
export function sentence(found, truth) {
  const parts = truth ? trueParts(found) : visibleParts(found);
  if (found.unlearned?.collapsed) {
    parts.push(found.made.texts.collapsed);
  }
  return parts.join(" ");
}

function visibleParts({ made, setting, filter, unlearned }) {
  const { texts } = made;
  const { label, most } = mostFrequentLabel(made, filter);
  const parts = [fill(texts.labels, { most, suspects: filter.suspected, label })];
  if (most / filter.suspected >= made.agreed) {
    parts.push(texts.agreed);
  }
  if (unlearned !== null) {
    const epochs = counted(setting.e2, "epoch");
    const chance = percent(1 / made.classes.length);
    parts.push(fill(texts.seen, { epochs, right: percent(unlearned.reestimated), chance }));
  }
  return parts;
}

function trueParts({ made, setting, filter, unlearned, stages }) {
  const { texts } = made;
  const found = {
    poisoned: filter.suspected_poisoned,
    suspects: filter.suspected,
    clean: exactly(precision(filter).trusted),
  };
  const parts = [fill(texts.found, found)];
  if (unlearned !== null) {
    parts.push(fill(texts.unlearned, unlearningValues(texts, setting.e2, stages)));
  }
  if (stages.ASSFT !== null) {
    const { ca, asr } = stages.ASSFT;
    parts.push(fill(texts.tuned, { ca: percent(ca), asr: percent(asr) }));
  }
  return parts;
}

function unlearningValues(texts, e2, { SL, AU }) {
  return {
    epochs: counted(e2, "epoch"),
    has: e2 === 1 ? "has" : "have",
    asr_before: percent(SL.asr),
    asr: percent(AU.asr),
    ca_before: percent(SL.ca),
    ca: percent(AU.ca),
    difference: difference(texts, SL.ca, AU.ca),
  };
}

function difference(texts, before, after) {
  const points = Number(fixed(100 * after, 0)) - Number(fixed(100 * before, 0));
  if (points === 0) {
    return texts.unchanged;
  }
  const text = points > 0 ? texts.gained : texts.lost;
  return fill(text, { points: counted(Math.abs(points), "point") });
}

/** Return the alternative texts of all figures. */
export function descriptions(found, truth) {
  return {
    gap: describeGap(found, truth),
    entropy: describeEntropy(found, truth),
    precision: describePrecision(found),
    labels: describeLabels(found, truth),
    ascent: describeAscent(found, truth),
    stages: describeStages(found),
  };
}

function describeGap({ gap, setting }, truth) {
  const at = (curve) => exactly(curve[setting.e1 - 1]);
  const shares = truth
    ? `poisoned samples ${at(gap.poisoned)}, clean samples ${at(gap.clean)}`
    : `all samples ${at(gap.all)}`;
  return `Training accuracy by epoch. At E1 = ${setting.e1}: ${shares}.`;
}

function describeEntropy({ made, setting, filter }, truth) {
  const parts = truth ? ", clean and poisoned ones apart" : "";
  return (
    `Histogram of the entropies of ${made.training_images} samples after epoch ${setting.e1}` +
    `${parts}. The ${filter.suspected} suspects end at ${fixed(filter.suspects_end, 2)} bits,` +
    ` the ${filter.trusted} trusted samples begin at ${fixed(filter.trusted_begin, 2)} bits.`
  );
}

function describePrecision({ setting, filter }) {
  const shares = precision(filter);
  return (
    `Precision of both parts by gamma. At gamma ${exactly(setting.gamma)}:` +
    ` ${filter.suspected_poisoned} of ${filter.suspected} suspects are poisoned` +
    ` (${exactly(shares.suspected)}), ${filter.trusted_clean} of ${filter.trusted} trusted` +
    ` samples are clean (${exactly(shares.trusted)}).`
  );
}

function describeLabels({ made, filter }, truth) {
  const texts = [];
  for (const { name, count, poisoned } of suspectsByLabel(made, filter)) {
    if (count > 0) {
      texts.push(truth ? `${name} ${count} (${poisoned} poisoned)` : `${name} ${count}`);
    }
  }
  return `Labels of the ${filter.suspected} suspects: ${texts.join(", ")}.`;
}

function describeAscent({ setting, ascent, unlearned }, truth) {
  const begin = `Accuracy on the suspects along ${ascent.length} epochs of unlearning.`;
  if (unlearned === null) {
    return `${begin} E2 = ${setting.e2}: no unlearning.`;
  }
  const { left, reestimated, ca, asr, collapsed } = unlearned;
  const also = truth ? `, CA ${exactly(ca)}, ASR ${exactly(asr)}` : "";
  return (
    `${begin} At E2 = ${setting.e2}: re-estimated ${exactly(reestimated)},` +
    ` as left ${exactly(left)}${also}${collapsed ? "; collapsed" : ""}.`
  );
}

function describeStages({ made, stages }) {
  const target = made.classes[made.target];
  const texts = Object.entries(stages).map(([name, shares]) => {
    if (shares === null) {
      return `${name}: nothing recorded.`;
    }
    const { ca, asr, ra, recall, collapsed } = shares;
    return (
      `${name}: CA ${exactly(ca)}, ASR ${exactly(asr)}, RA ${exactly(ra)},` +
      ` recall of “${target}” ${exactly(recall)}${collapsed ? ", collapsed" : ""}.`
    );
  });
  return `After each stage. ${texts.join(" ")}`;
}

/** Return what the numbers are of; without the truth, only what a defender knows. */
export function describeRecording({ made }, truth) {
  const source =
    `Recorded from the live lab with seed ${made.seed}: ${made.dataset},` +
    ` ${made.training_images} training images`;
  return truth ? `${source}, ${describeTruth(made)}` : `${source}.`;
}

function describeTruth(made) {
  const { grid } = made;
  return (
    `${made.poisoned_images} of them poisoned.` +
    ` CA is of ${made.test_images} test images, ASR and RA of ${made.triggered_images},` +
    ` the target's recall of ${targetImages(made)}.` +
    ` Fine-tuned ends lie on a coarser grid: E1 = ${grid.end_e1s.join(", ")},` +
    ` γ = ${grid.end_gammas.map(exactly).join(", ")}, E2 = ${grid.end_e2s.join(", ")}.`
  );
}
