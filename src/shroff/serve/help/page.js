"use strict";
(() => {
  const $ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const tell = (text) => { document.getElementById("told").textContent = text; };

  // behind a proxy the service does not know its own address, but the browser does
  const origin = document.body.dataset.origin;
  const here = new URL(".", location.href).href.replace(/\/$/, "");
  for (const code of $("code")) {
    const walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
    while (here !== origin && walker.nextNode()) {
      walker.currentNode.data = walker.currentNode.data.replaceAll(origin, here);
    }
  }

  // the chosen language stays chosen
  for (const choice of $("input[name=language]")) {
    try {
      choice.checked ||= localStorage.getItem("shroff-language") === choice.id;
      choice.addEventListener("change", () => localStorage.setItem("shroff-language", choice.id));
    } catch { /* a browser that keeps nothing */ }
  }

  const copy = async (code) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(code.textContent);
    // without HTTPS there is no clipboard but the old one
    getSelection().selectAllChildren(code);
    document.execCommand("copy");
    return getSelection().removeAllRanges();
  };
  for (const figure of $("figure.code")) {
    const caption = figure.querySelector("figcaption");
    const button = element("button", { type: "button", "aria-label": `Copy: ${caption.textContent}` }, "Copy");
    button.addEventListener("click", async () => {
      await copy(figure.querySelector("pre code"));
      button.textContent = "Copied";
      tell("Copied");
      setTimeout(() => { button.textContent = "Copy"; tell(""); }, 1500);
    });
    caption.append(button);
  }

  // where on the page the reader is
  const links = new Map($("nav ol a").map((link) => [link.hash.slice(1), link]));
  const watched = $("main > section").map((section) => [section, links.get(section.id || "main")]);
  const mark = () => {
    const current = watched.findLast(([section]) => section.getBoundingClientRect().top < innerHeight / 3);
    for (const [, link] of watched) {
      if (current && link === current[1]) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  addEventListener("scroll", mark, { passive: true });
  mark();

  const form = document.getElementById("form");
  const send = document.getElementById("send");
  const outcome = document.getElementById("outcome");
  const inputs = $("input[data-scale]", form);
  const refresh = () => {
    if (!document.getElementById("fresh").checked) return;
    const now = new Date();
    for (const input of inputs) {
      if (input.dataset.scale === "id") input.value = `example-${now.getTime()}`;
      if (input.dataset.scale === "time") input.value = now.toISOString();
    }
  };
  const payment = () => Object.fromEntries(inputs.filter((input) => input.value !== "").map(
    (input) => [input.name, input.type === "number" ? input.valueAsNumber : input.value]));
  const percent = (probability) => `${(100 * probability).toLocaleString("en", { maximumSignificantDigits: 3 })} %`;
  const raw = (body) => element("details", {}, element("summary", {}, "As JSON"),
    element("figure", { class: "code" }, element("pre", { tabindex: "0" }, element("code", {}, JSON.stringify(body, null, 2)))));
  const list = (kind, texts) => element(kind, {}, ...texts.map((text) => element("li", {}, text)));

  const decided = (answer, took) => {
    const verdict = element("p", { class: "verdict" }, element("span", { class: `action ${answer.action}` }, answer.action));
    const shown = [verdict];
    if (answer.probability === null) {
      verdict.append(element("span", {}, "decided by the policy alone (degraded)"));
    } else {
      verdict.append(element("span", {}, element("span", { class: "large" }, percent(answer.probability)), " probability of fraud"));
      shown.push(element("meter", { min: 0, max: 1, value: answer.probability, "aria-label": "Probability of fraud" }));
    }
    shown.push(element("h3", {}, "Why"));
    shown.push(answer.reasons.length
      ? list("ol", answer.reasons.map((reason) => reason.text))
      : element("p", {}, "Nothing about it is suspicious enough to name."));
    if (answer.rules.length) shown.push(element("h3", {}, "Rules that held"), list("ul", answer.rules));
    shown.push(element("p", { class: "small" }, `Answered in ${took} ms by ${answer.model.name}, version ${answer.model.version}.`), raw(answer));
    return shown;
  };
  const refused = (problem, took) => [
    element("p", { class: "verdict" }, element("span", { class: "action decline" }, String(problem.status)), element("strong", {}, problem.title)),
    element("p", {}, problem.detail),
    element("p", { class: "small" }, `Answered in ${took} ms. `,
      element("a", { href: `#problem-${problem.type.split("/").pop()}` }, "What to do about it")),
    raw(problem),
  ];

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (send.getAttribute("aria-disabled") === "true") return;
    send.setAttribute("aria-disabled", "true");
    refresh();
    const key = document.getElementById("key").value.trim();
    const headers = { "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) };
    try {
      const started = performance.now();
      const response = await fetch("v1/decisions", { method: "POST", headers, body: JSON.stringify(payment()), credentials: "omit" });
      const body = await response.json();
      const took = (performance.now() - started).toFixed(1);
      outcome.replaceChildren(...(response.ok ? decided(body, took) : refused(body, took)));
    } catch {
      outcome.replaceChildren(element("p", {}, "No answer: the service cannot be reached from this page."));
    } finally {
      send.removeAttribute("aria-disabled");
    }
  });
  refresh();
})();
