// The editor of a rule: completions by the keyboard. Without it a condition is checked when it is sent.
"use strict";

(() => {
  const field = document.querySelector("textarea[data-completes]");
  const check = document.getElementById("check");
  const position = field?.form.elements.position;
  if (!field || !check || !position) return;
  const options = () => [...check.querySelectorAll('[role="option"]')];
  let active = -1;

  // the service counts characters, a browser counts halves of the rare ones
  const counted = (text) => [...text].length;
  const place = (at) => [...field.value].slice(0, at).join("").length;

  function choose(at) {
    const all = options();
    active = all.length ? (at + all.length) % all.length : -1;
    if (at < 0 && active < 0) return field.removeAttribute("aria-activedescendant");
    all.forEach((one, number) => one.setAttribute("aria-selected", String(number === active)));
    field.setAttribute("aria-activedescendant", all[active].id);
    all[active].scrollIntoView({ block: "nearest" });
  }

  function close() {
    check.querySelector('[role="listbox"]')?.remove();
    field.removeAttribute("aria-activedescendant");
    active = -1;
  }

  function take(one) {
    const { text, start, end } = one.dataset;
    field.setRangeText(text, place(Number(start)), place(Number(end)), "end");
    close();
    field.focus();
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function note() { position.value = String(counted(field.value.slice(0, field.selectionStart))); }

  function press(event) {
    if (event.ctrlKey && event.key === " ") {
      event.preventDefault();
      note();
      field.dispatchEvent(new CustomEvent("complete"));
    } else if (!options().length || event.isComposing || event.altKey || event.metaKey) {
      return;
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      choose(event.key === "ArrowDown" ? active + 1 : active < 0 ? -1 : active - 1);
    } else if ((event.key === "Enter" || event.key === "Tab") && active >= 0) {
      event.preventDefault();
      take(options()[active]);
    } else if (event.key === "Escape") {
      event.preventDefault();
      close();
    }
  }

  field.addEventListener("keydown", press);
  field.addEventListener("input", note, true);
  check.addEventListener("mousedown", (event) => {
    const one = event.target.closest("[data-text]");
    if (!one) return;
    event.preventDefault();
    take(one);
  });
  // a button that is pressed by the keyboard sends no mousedown
  check.addEventListener("click", (event) => {
    const one = event.target.closest("button[data-text]");
    if (one && event.detail === 0) take(one);
  });
  document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target === check) active = -1; });
})();
