/* The figures: what is found of a setting in; an SVG drawing out. */

import { precision, suspectsByLabel } from "./numbers.js";
import { Plot, shareAxis } from "./svg.js";
import { exactly, percent } from "./words.js";

const STAGE_NAMES = { SL: "SL: learned", AU: "AU: unlearned", ASSFT: "ASSFT: fine-tuned" };
const METRICS = { ca: "CA", asr: "ASR", ra: "RA", recall: "target" };

/** Draw training accuracy by epoch. */
export function drawGap(container, { gap, setting }, truth, alt) {
  const epochs = gap.all.length;
  const x = { range: [0.6, epochs + 0.4], ticks: epochTicks(1, epochs), label: "epoch" };
  const plot = new Plot(container, { x, y: shareAxis("training accuracy (%)"), alt });
  plot.cut(setting.e1, "here", "E1");
  const curves = truth
    ? [["clean", "clean", "circle"], ["poisoned", "poisoned", "square"]]
    : [["all", "neutral", "circle"]];
  for (const [name, style, marker] of curves) {
    plot.line(gap[name].map((share, i) => [i + 1, share]), style, marker);
    plot.point(setting.e1, gap[name][setting.e1 - 1], style, marker);
  }
}

function epochTicks(first, last) {
  const step = last > 10 ? 5 : 1;
  const ticks = [[first, `${first}`]];
  for (let epoch = step; epoch <= last; epoch += step) {
    if (epoch > first) {
      ticks.push([epoch, `${epoch}`]);
    }
  }
  return ticks;
}

/** Draw how often which entropy occurs, and where the suspects end and the trusted begin. */
export function drawEntropy(container, { made, histogram, filter }, truth, alt) {
  const n = made.training_images;
  const counts = [0, 10, 100, 1000, 10000].filter((count) => count < n);
  const plot = new Plot(container, {
    x: {
      range: [0, Math.log2(made.classes.length)],
      ticks: [0, 1, 2, 3].map((bits) => [bits, `${bits}`]),
      label: "predictive entropy (bits)",
    },
    y: {
      range: [0, n],
      scale: (count) => (count <= 10 ? count / 10 : Math.log10(count)),
      ticks: counts.map((count) => [count, `${count}`]),
      label: "samples",
    },
    alt,
  });
  plot.shade(0, filter.suspects_end, "suspects-zone");
  plot.shade(filter.trusted_begin, Math.log2(made.classes.length), "trusted-zone");
  drawBins(plot, histogram, truth);
  drawCuts(plot, filter);
}

function drawBins(plot, { lowest, highest, clean, poisoned }, truth) {
  const width = (highest - lowest) / clean.length;
  clean.forEach((count, i) => {
    const from = lowest + i * width;
    if (truth) {
      plot.bar(from, from + width, count, "clean bin");
      plot.bar(from, from + width, poisoned[i], "poisoned bin");
    } else {
      plot.bar(from, from + width, count + poisoned[i], "neutral bin");
    }
  });
}

function drawCuts(plot, { suspects_end, trusted_begin }) {
  plot.cut(suspects_end, "suspects-cut");
  plot.cut(trusted_begin, "trusted-cut");
  const { left, right, top } = plot.area;
  plot.text(left, top - 6, "◂ suspected", { class: "name" });
  plot.text(right, top - 6, "trusted ▸", { class: "name", "text-anchor": "end" });
}

/** Draw the precision of both parts over gamma. */
export function drawPrecision(container, { made, setting, filter, precisions }, _, alt) {
  const gammas = precisions.map(({ gamma }) => gamma);
  const x = {
    range: [Math.min(...gammas) * 0.9, Math.max(...gammas) * 1.1],
    scale: Math.log10,
    ticks: made.grid.gammas.map((gamma) => [gamma, `${Number((100 * gamma).toPrecision(3))}`]),
    label: "γ (%)",
  };
  const plot = new Plot(container, { x, y: shareAxis("precision (%)"), alt });
  plot.cut(setting.gamma, "here", "γ");
  const here = precision(filter);
  const parts = [["trusted", "clean", "circle"], ["suspected", "poisoned", "square"]];
  for (const [name, style, marker] of parts) {
    plot.line(precisions.map((row) => [row.gamma, row[name]]), style, marker);
    plot.point(setting.gamma, here[name], style, marker);
  }
}

/** Draw how many suspects carry which label. */
export function drawLabels(container, { made, filter }, truth, alt) {
  const rows = suspectsByLabel(made, filter);
  const x = { range: [0, filter.suspected * 1.12], label: "suspects" };
  const y = { range: [rows.length - 0.5, -0.5] };
  const plot = new Plot(container, { left: 84, top: 6, bottom: 24, x, y, alt });
  rows.forEach(({ name, count, poisoned }, i) => {
    const middle = plot.y(i);
    plot.text(plot.area.left - 8, middle + 4, name, { class: "tick", "text-anchor": "end" });
    const split = truth ? poisoned : 0;
    drawRow(plot, middle, 0, split, "poisoned solid");
    drawRow(plot, middle, split, count, truth ? "clean solid" : "neutral solid");
    if (count > 0) {
      plot.text(plot.x(count) + 5, middle + 4, `${count}`, { class: "value" });
    }
  });
}

function drawRow(plot, middle, from, to, style) {
  if (from === to) {
    return;
  }
  const x = plot.x(from);
  plot.add("rect", { x, y: middle - 7, width: plot.x(to) - x, height: 14, class: style });
}

/** Draw the suspects' accuracy along the ascent, with the truth also CA and ASR. */
export function drawAscent(container, { setting, ascent }, truth, alt) {
  const epochs = ascent.length;
  const x = { range: [-0.4, epochs + 0.4], ticks: epochTicks(0, epochs), label: "epoch of ascent" };
  const plot = new Plot(container, { height: 270, x, y: shareAxis("share (%)"), alt });
  ascent.forEach(({ collapsed }, i) => {
    if (collapsed) {
      plot.shade(i + 0.5, i + 1.5, "collapsed");
    }
  });
  plot.cut(setting.e2, "here", "E2");
  const curves = [["left", "left", "none"], ["reestimated", "reestimated", "none"]];
  if (truth) {
    curves.push(["ca", "clean", "circle"], ["asr", "poisoned", "square"]);
  }
  for (const [name, style, marker] of curves) {
    plot.line(ascent.map((row, i) => [i + 1, row[name]]), style, marker);
    if (setting.e2 > 0) {
      plot.point(setting.e2, ascent[setting.e2 - 1][name], style, marker);
    }
  }
}

/** Draw CA, ASR, RA and the target's recall after each stage. */
export function drawStages(container, { stages }, _, alt) {
  const x = { range: [0, 3] };
  const y = { ...shareAxis("share of test images (%)"), range: [0, 1.08] };
  const plot = new Plot(container, { height: 270, bottom: 56, x, y, alt });
  Object.entries(stages).forEach(([name, shares], place) => {
    nameStage(plot, place, name, shares);
    if (shares === null) {
      drawMissing(plot, place);
    } else {
      drawGroup(plot, place, shares);
    }
  });
}

function nameStage(plot, place, name, shares) {
  const style = { class: "label", "text-anchor": "middle" };
  const text = plot.isNarrow ? name : STAGE_NAMES[name];
  plot.text(plot.x(place + 0.5), plot.area.bottom + 32, text, style);
  if (shares?.collapsed) {
    plot.text(plot.x(place + 0.5), plot.area.bottom + 46, "(collapsed)", style);
  }
}

function drawGroup(plot, place, shares) {
  Object.entries(METRICS).forEach(([metric, name], i) => {
    const from = place + 0.06 + 0.22 * i;
    const share = shares[metric];
    plot.bar(from, from + 0.19, share, `${metric} solid`);
    const centre = plot.x(from + 0.095);
    const middle = { "text-anchor": "middle" };
    plot.text(centre, plot.y(share) - 4, barValue(plot, share), { class: "value", ...middle });
    if (!plot.isNarrow) {
      plot.text(centre, plot.area.bottom + 15, name, { class: "small", ...middle });
    }
  });
}

function barValue(plot, share) {
  const text = plot.isNarrow ? percent(share) : exactly(share).replace(".0%", "");
  return text.replace("%", "");
}

function drawMissing(plot, place) {
  const { top, bottom } = plot.area;
  const x = plot.x(place + 0.06);
  const width = plot.x(place + 0.91) - x;
  const middle = (top + bottom) / 2;
  plot.add("rect", { x, y: top + 20, width, height: bottom - top - 20, rx: 6, class: "missing" });
  const style = { class: "label", "text-anchor": "middle" };
  plot.text(x + width / 2, middle, "nothing", style);
  plot.text(x + width / 2, middle + 16, "recorded", style);
}
