// What the console's pages share: charts, keys and the focus after htmx has put a part in place.
// A page works without any of it.
"use strict";

(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // <div class="chart" data-chart='{"title": …, "series": [{"label": …}], "data": [[seconds], [values]]}'></div>
  // draws with uPlot; the same figures stand in a table or a sentence beside it.
  function draw(place) {
    if (typeof uPlot === "undefined" || place.firstChild) return;
    const told = JSON.parse(place.dataset.chart);
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
    const timed = told.time !== false;
    const utc = (seconds, form) => uPlot.fmtDate(form)(uPlot.tzDate(new Date(seconds * 1000), "UTC"));
    const times = { ...axis, values: (_, marks) => marks.map((at) => utc(at, at % 86400 ? "{HH}:{mm}" : "{YYYY}-{MM}-{DD}")), space: 80 };
    const series = told.series.map((one, at) => ({ width: 2, stroke: colour(one.colour || `--s${at % 8}`), points: { show: told.data[0].length < 40 }, ...one }));
    const chart = new uPlot({
      width: place.clientWidth, height: Math.max(180, place.clientHeight), title: told.title,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      // half of the last date stands beside its mark
      padding: [null, timed ? 40 : null, null, null],
      scales: { x: { time: timed } },
      axes: [timed ? times : axis, { ...axis, size: 60 }],
      series: [timed ? { label: "time", value: (_, at) => (at == null ? "–" : utc(at, "{YYYY}-{MM}-{DD} {HH}:{mm}")) } : {}, ...series],
    }, told.data, place);
    new ResizeObserver(() => chart.setSize({ width: place.clientWidth, height: chart.height })).observe(place);
  }

  // in a field, Escape leaves it, and Ctrl+Enter sends its form
  function leave(event) {
    const field = event.target.closest("input, textarea");
    if (field && event.key === "Escape") { field.blur(); return true; }
    if (field && event.key === "Enter" && (event.ctrlKey || event.metaKey)) { field.form?.requestSubmit(); return true; }
    return false;
  }

  // <table data-rows>: j and k go down and up its rows, x ticks the one that has the focus
  function move(event) {
    const rows = [...document.querySelectorAll("[data-rows] tbody tr")];
    const at = rows.indexOf(document.activeElement.closest("tr"));
    if (event.key === "x") return rows[at]?.querySelector("input[type=checkbox]")?.click();
    const step = { j: 1, k: -1 }[event.key];
    if (step) rows[Math.min(Math.max(at + step, 0), rows.length - 1)]?.querySelector("a")?.focus();
  }

  // <a data-key="n"> or <button data-key="d">: the key does what a click does, outside of fields.
  function press(event) {
    if (leave(event)) return;
    // a key that is held decides one case, not one after the other
    if (event.repeat && !"jk".includes(event.key)) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]")) return;
    const key = CSS.escape(event.key);
    const target = document.querySelector(`[data-key="${key}"]:not(:disabled)`);
    if (!target) return move(event);
    event.preventDefault();
    if (target.matches("input, textarea, select")) target.focus(); else target.click();
  }

  // a form that cannot be taken back asks: data-sure="Roll back?"
  function ask(event) {
    const sure = event.submitter?.dataset.sure || event.target.dataset.sure;
    if (sure && !confirm(sure)) { event.preventDefault(); event.stopImmediatePropagation(); }
  }

  // <div id="…" data-live="/…/events">: each server-sent event `changed` fetches the page's part again.
  // What somebody has opened stays open. `ended`: nobody is signed in any more, or in another role,
  // so the page is asked for again, which leads to where that can be said.
  function live(place) {
    if (typeof htmx === "undefined" || typeof EventSource === "undefined") return;
    let missed = false; // while nobody looked
    const refresh = () => {
      missed = false;
      const open = [...place.querySelectorAll("details")].map((one) => one.open);
      htmx.ajax("GET", location.pathname + location.search, { target: place, swap: "innerHTML" }).then(() => {
        place.querySelectorAll("details").forEach((one, at) => { one.open = Boolean(open[at]); });
      });
    };
    const source = new EventSource(place.dataset.live);
    source.addEventListener("message", (event) => {
      if (event.data === "ended") { source.close(); location.reload(); return; }
      if (event.data !== "changed") return;
      if (document.hidden) missed = true; else refresh();
    });
    document.addEventListener("visibilitychange", () => { if (missed && !document.hidden) refresh(); });
    addEventListener("pagehide", () => source.close());
  }

  const start = (root) => root.querySelectorAll(".chart[data-chart]").forEach(draw);
  document.addEventListener("keydown", press);
  document.addEventListener("submit", ask, true);
  document.addEventListener("htmx:load", (event) => start(event.detail.elt.parentElement || document));
  start(document);
  document.querySelectorAll("[data-live]").forEach(live);
  // in a small window the menu scrolls, and the page's own name may be beyond its edge
  const menu = document.querySelector(".top nav"), own = menu?.querySelector("[aria-current]");
  if (own) menu.scrollLeft = own.offsetLeft - menu.offsetLeft - (menu.clientWidth - own.offsetWidth) / 2;
})();
