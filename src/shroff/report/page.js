"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const by = (id) => document.getElementById(id);
  const [which, slider] = [by("which"), by("slider")];
  const whole = new Intl.NumberFormat("en"), money = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const share = (part, all) => (all ? `${(100 * part / all).toFixed(1)}%` : "–");
  let cuts = [];

  function choose() {
    const bins = data.detectors[which.value];
    let tp = 0, flagged = 0, saved = 0;
    cuts = [{ threshold: 1, tp, fp: 0, saved }];
    bins.lowest.forEach((threshold, at) => {
      tp += bins.frauds[at];
      flagged += bins.payments[at];
      saved += bins.lost[at];
      cuts.push({ threshold, tp, fp: flagged - tp, saved });
    });
    slider.max = cuts.length - 1;
    const start = cuts.findLastIndex((cut) => cut.threshold >= data.start[which.value]);
    slider.value = Math.max(start, 0);
    show();
  }

  function show() {
    const cut = cuts[slider.value], all = cuts[cuts.length - 1];
    const days = data.detectors[which.value].days, flagged = cut.tp + cut.fp;
    const priced = data.cost.missed === "amount" ? data.money : typeof data.cost.missed === "number";
    const missed = data.cost.missed === "amount" ? all.saved - cut.saved : data.cost.missed * (all.tp - cut.tp);
    const told = {
      tp: whole.format(cut.tp), fp: whole.format(cut.fp), fn: whole.format(all.tp - cut.tp), tn: whole.format(all.fp - cut.fp),
      precision: share(cut.tp, flagged), recall: share(cut.tp, all.tp), "false-positives": share(cut.fp, all.fp),
      alerts: (flagged / days).toFixed(1), saved: data.money ? money.format(cut.saved / days) : "–",
      reviewed: priced && data.cost.review !== null ? money.format((missed + data.cost.review * flagged) / days) : "–",
      declined: priced && typeof data.cost.declined === "number" ? money.format((missed + data.cost.declined * cut.fp) / days) : "–",
    };
    for (const [id, text] of Object.entries(told)) by(id).textContent = text;
    const threshold = slider.value === "0" ? "above every probability" : cut.threshold.toPrecision(3);
    by("threshold").textContent = threshold;
    slider.setAttribute("aria-valuetext", `threshold ${threshold}`);
    by("detector").textContent = which.value;
  }

  by("controls").hidden = false;
  which.addEventListener("change", choose);
  slider.addEventListener("input", show);
  choose();
})();
