/* The controls: native inputs, so that keyboard and screen reader know them. */

import { nearestEnd } from "./numbers.js";
import { exactly } from "./words.js";

/** Connect the controls of the page to the state. */
export function connect(root, state, recordings, standard) {
  const { grid } = recordings[state.setting.attack].made;
  const epochs = (number) => (number === 1 ? "1 epoch" : `${number} epochs`);
  const e2s = Array.from({ length: grid.epochs + 1 }, (_, epoch) => epoch);
  connectAttacks(root, state, Object.keys(recordings));
  connectSlider(root, state, "e1", grid.e1s, epochs);
  connectSlider(root, state, "gamma", grid.gammas, exactly);
  connectSlider(root, state, "e2", e2s, epochs);
  connectTruth(root, state);
  const nearest = (setting) => nearestEnd(recordings[setting.attack], setting);
  root.querySelector("#lab-reset").addEventListener("click", () => state.change(standard));
  connectNearest(root.querySelector("#lab-nearest"), state, nearest);
}

function connectAttacks(root, state, attacks) {
  const box = root.querySelector("#lab-attacks");
  for (const attack of attacks) {
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "lab-attack", value: attack });
    input.addEventListener("change", () => state.change({ attack }));
    const label = document.createElement("label");
    const name = document.createElement("span");
    name.textContent = attack;
    label.append(input, name);
    box.append(label);
    state.listen((setting) => {
      input.checked = setting.attack === attack;
    });
  }
}

function connectSlider(root, state, name, values, describe) {
  const input = root.querySelector(`#lab-${name}`);
  const output = root.querySelector(`#lab-${name}-value`);
  input.max = values.length - 1;
  input.addEventListener("input", () => state.change({ [name]: values[Number(input.value)] }));
  state.listen((setting) => {
    const position = values.indexOf(setting[name]);
    input.value = position;
    input.style.setProperty("--filled", `${(100 * position) / (values.length - 1)}%`);
    input.setAttribute("aria-valuetext", describe(setting[name]));
    output.textContent = describe(setting[name]);
  });
}

function connectTruth(root, state) {
  const input = root.querySelector("#lab-truth");
  input.addEventListener("change", () => state.change({ truth: input.checked }));
  state.listen(({ truth }) => {
    input.checked = truth;
  });
}

function connectNearest(button, state, nearest) {
  button.addEventListener("click", () => state.change(nearest(state.setting)));
  state.listen((setting) => {
    const place = nearest(setting);
    button.hidden = place === null;
    if (place !== null) {
      const { e1, gamma, e2 } = place;
      button.textContent = `Go to the nearest one: E1 ${e1}, γ ${exactly(gamma)}, E2 ${e2}`;
    }
  });
}
