/* The setting: what the controls say. A change is told to whoever listens. */

export class State {
  /** Begin with a setting: { attack, e1, gamma, e2, truth }. */
  constructor(setting) {
    this.setting = setting;
    this.listeners = [];
  }

  listen(listener) {
    this.listeners.push(listener);
    listener(this.setting);
  }

  change(changes) {
    this.setting = { ...this.setting, ...changes };
    for (const listener of this.listeners) {
      listener(this.setting);
    }
  }
}

/** Return the recommended setting of the first attack, as near to it as the grid allows. */
export function standardSetting(tables) {
  const [attack] = Object.keys(tables);
  const { grid, recommended } = tables[attack].made;
  return {
    attack,
    e1: closest(grid.e1s, recommended.e1),
    gamma: closest(grid.gammas, recommended.gamma),
    e2: Math.min(recommended.e2, grid.epochs),
    truth: true,
  };
}

function closest(values, wanted) {
  const distance = (value) => Math.abs(value - wanted);
  return values.reduce((best, value) => (distance(value) < distance(best) ? value : best));
}

/** Return the setting that an address names after its "#", completed by a standard one. */
export function readAddress(hash, standard, tables) {
  const named = new URLSearchParams(hash.slice(1));
  const attack = named.get("attack") in tables ? named.get("attack") : standard.attack;
  const { grid } = tables[attack].made;
  const epochs = Array.from({ length: grid.epochs + 1 }, (_, epoch) => epoch);
  return {
    attack,
    e1: oneOf(grid.e1s, named.get("e1"), standard.e1),
    gamma: oneOf(grid.gammas, named.get("gamma"), standard.gamma),
    e2: oneOf(epochs, named.get("e2"), standard.e2),
    truth: named.has("truth") ? named.get("truth") === "1" : standard.truth,
  };
}

function oneOf(allowed, text, standard) {
  const value = text === null ? NaN : Number(text);
  return allowed.includes(value) ? value : standard;
}

/** Return what stands after the "#" of an address that names a setting. */
export function writeAddress({ attack, e1, gamma, e2, truth }) {
  return `#${new URLSearchParams({ attack, e1, gamma, e2, truth: truth ? 1 : 0 })}`;
}
