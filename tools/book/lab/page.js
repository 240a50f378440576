/* The page: a change of the setting goes to the sentence and to all figures. */

import { connect } from "./controls.js";
import {
  drawAscent,
  drawEntropy,
  drawGap,
  drawLabels,
  drawPrecision,
  drawStages,
} from "./figures.js";
import { legends } from "./legends.js";
import { answer, indexed } from "./numbers.js";
import { State, readAddress, standardSetting, writeAddress } from "./state.js";
import { describeRecording, descriptions, sentence } from "./words.js";

const FIGURES = {
  gap: drawGap,
  entropy: drawEntropy,
  precision: drawPrecision,
  labels: drawLabels,
  ascent: drawAscent,
  stages: drawStages,
};
const TRUTH_ALONE = ["precision", "stages"]; // no defender sees anything of them

/** Show the tables of all attacks in an element that holds the controls and empty figures. */
export function start(root, tables) {
  const standard = standardSetting(tables);
  const recordings = {};
  for (const [name, table] of Object.entries(tables)) {
    recordings[name] = indexed(table);
  }
  const state = new State(readAddress(location.hash, standard, tables));
  connect(root, state, recordings, standard);
  const show = onceAFrame(() => showAll(root, recordings[state.setting.attack], state.setting));
  state.listen(show);
  state.listen((setting) => keepAddress(setting, standard));
  new ResizeObserver(show).observe(root);
}

/** Return a function that does its work once, when the browser draws next, however often asked. */
function onceAFrame(work) {
  let isAsked = false;
  return () => {
    if (!isAsked) {
      isAsked = true;
      requestAnimationFrame(() => {
        isAsked = false;
        work();
      });
    }
  };
}

function keepAddress(setting, standard) {
  const isStandard = writeAddress(setting) === writeAddress(standard);
  if (!isStandard || location.hash) {
    history.replaceState(null, "", writeAddress(setting));
  }
}

function showAll(root, recording, setting) {
  const { truth } = setting;
  const found = answer(recording, setting);
  const texts = descriptions(found, truth);
  root.classList.toggle("lab-with-truth", truth);
  root.querySelector("#lab-sentence").textContent = sentence(found, truth);
  root.querySelector("#lab-recording").textContent = describeRecording(recording, truth);
  root.querySelector("#lab-no-end").hidden = !truth || found.stages.ASSFT !== null;
  for (const [name, draw] of Object.entries(FIGURES)) {
    const panel = root.querySelector(`#lab-${name}`);
    const isHidden = !truth && TRUTH_ALONE.includes(name);
    panel.classList.toggle("lab-hidden", isHidden);
    panel.querySelector(".lab-legend").replaceChildren(...legends(name, found, truth));
    if (isHidden) {
      panel.querySelector(".lab-drawing").replaceChildren();
    } else {
      draw(panel.querySelector(".lab-drawing"), found, truth, texts[name]);
    }
  }
}
