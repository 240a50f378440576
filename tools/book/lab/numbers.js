/* The page's numbers: pure functions of a recorded table and of a setting. Counts become shares. */

/** Return a table with its rows by what they tell, and where. */
export function indexed(table) {
  const rows = new Map();
  for (const row of table.rows) {
    rows.set(rowKey(row.kind, row), row);
  }
  return { made: table.made, rows };
}

function rowKey(kind, { e1 = "", gamma = "", e2 = "" }) {
  return [kind, e1, gamma, e2].join("/");
}

function find(recording, kind, place = {}) {
  return recording.rows.get(rowKey(kind, place)) ?? null;
}

/** Return all that is recorded of a setting; what is not recorded is null. */
export function answer(recording, setting) {
  const { e1, gamma, e2 } = setting;
  const { made } = recording;
  const filter = find(recording, "filter", { e1, gamma });
  const ascent = ascentShares(made, filter, find(recording, "AU", { e1, gamma }));
  const unlearned = ascent[e2 - 1] ?? null;
  return {
    made,
    setting,
    gap: gapShares(made, find(recording, "curves")),
    histogram: find(recording, "SL", { e1 }),
    filter,
    precisions: precisions(recording, e1),
    ascent,
    unlearned,
    stages: {
      SL: stageShares(made, find(recording, "SL", { e1 })),
      AU: unlearned,
      ASSFT: stageShares(made, find(recording, "ASSFT", { e1, gamma, e2 })),
    },
  };
}

function gapShares(made, curves) {
  const n = made.training_images;
  return {
    all: curves.all.map((count) => count / n),
    clean: curves.clean.map((count) => count / (n - made.poisoned_images)),
    poisoned: curves.poisoned.map((count) => count / made.poisoned_images),
  };
}

/** Return the precision of both parts at every gamma at which the filter chooses. */
function precisions(recording, e1) {
  const found = [];
  for (const row of recording.rows.values()) {
    if (row.kind === "filter" && row.e1 === e1) {
      found.push({ gamma: row.gamma, ...precision(row) });
    }
  }
  return found;
}

/** Return the poisoned share of the suspects, and the clean share of the trusted samples. */
export function precision(filter) {
  return {
    suspected: filter.suspected_poisoned / filter.suspected,
    trusted: filter.trusted_clean / filter.trusted,
  };
}

/** Return how many images of the test set are of the class that the attacker wants. */
export function targetImages(made) {
  return made.test_images - made.triggered_images;
}

function stageShares(made, row) {
  if (row === null) {
    return null;
  }
  return {
    ca: row.ca / made.test_images,
    asr: row.asr / made.triggered_images,
    ra: row.ra / made.triggered_images,
    recall: row.target_recall / targetImages(made),
    collapsed: row.collapsed,
  };
}

/** Return a row an epoch of unlearning, with what a defender sees of it, too. */
function ascentShares(made, filter, columns) {
  if (columns === null) {
    return [];
  }
  return columns.ca.map((_, i) => {
    const row = {};
    for (const name of ["ca", "asr", "ra", "target_recall", "collapsed"]) {
      row[name] = columns[name][i];
    }
    return {
      ...stageShares(made, row),
      left: columns.accuracy[i] / filter.suspected,
      reestimated: columns.accuracy_reestimated[i] / filter.suspected,
    };
  });
}

/** Return the label that most suspects carry, and how many carry it. */
export function mostFrequentLabel(made, filter) {
  const most = Math.max(...filter.labels);
  return { label: made.classes[filter.labels.indexOf(most)], most };
}

/** Return the suspects by label: how many are clean, and how many are poisoned. */
export function suspectsByLabel(made, filter) {
  // Whatever is poisoned carries the label that the attacker wants
  return made.classes.map((name, label) => {
    const poisoned = label === made.target ? filter.suspected_poisoned : 0;
    return { name, count: filter.labels[label], poisoned };
  });
}

/** Return the fine-tuned end that is nearest to a setting, in steps of the sliders. */
export function nearestEnd(recording, setting) {
  const { grid } = recording.made;
  let nearest = null;
  for (const row of recording.rows.values()) {
    if (row.kind === "ASSFT") {
      const distance =
        Math.abs(grid.e1s.indexOf(row.e1) - grid.e1s.indexOf(setting.e1)) +
        Math.abs(grid.gammas.indexOf(row.gamma) - grid.gammas.indexOf(setting.gamma)) +
        Math.abs(row.e2 - setting.e2) / 4;
      if (nearest === null || distance < nearest.distance) {
        nearest = { distance, place: { e1: row.e1, gamma: row.gamma, e2: row.e2 } };
      }
    }
  }
  return nearest?.place ?? null;
}
