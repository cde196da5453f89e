// What an answer holds beside its words, as tables. Everything that comes from elsewhere is set as text, never as HTML.

import { text, textOr } from "./texts.js";

const UNITS = {
  rate_bpm: "page.unit.bpm",
  pr_ms: "page.unit.ms",
  qrs_ms: "page.unit.ms",
  qt_ms: "page.unit.ms",
  qtc_bazett_ms: "page.unit.ms",
  qtc_fridericia_ms: "page.unit.ms",
  p_axis_deg: "page.unit.deg",
  qrs_axis_deg: "page.unit.deg",
  t_axis_deg: "page.unit.deg",
};

export function make(tag, className = "", words = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = words;
  return element;
}

const hundredths = (value) => value.toLocaleString(document.documentElement.lang, { minimumFractionDigits: 2, maximumFractionDigits: 2 });

const percent = (share) => `${Math.round(100 * share)}\u00a0%`;

// What is named first, then the rest; the most probable first in either.
export function findings(body, found) {
  const rows = [...found].sort((a, b) => b.likely - a.likely || b.probability - a.probability).map(finding);
  body.replaceChildren(...rows);
}

function finding(found) {
  const row = make("tr", found.likely ? "likely" : "");
  const own = textOr(`finding.${found.label}`, found.name);
  const name = make("th", "", found.examples ? text("result.finding.learnt", found) : own);
  name.scope = "row";
  if (found.likely) name.append(make("span", "unseen", ` (${text("page.named")})`));
  if (found.sensitivity !== null && found.precision !== null) {
    const [sensitivity, precision] = [found.sensitivity, found.precision].map((share) => Math.round(100 * share));
    name.append(make("small", "", text("result.finding.worth", { sensitivity, precision })));
  }
  const point = found.point ?? 0.5; // as the runtime: one half where none was measured
  const probability = make("td", "", percent(found.probability));
  probability.append(bar(found.probability, point));
  row.append(name, probability, make("td", "", percent(point)));
  return row;
}

function bar(share, point) {
  const whole = make("span", "bar");
  whole.setAttribute("aria-hidden", "true"); // the figures beside it say the same
  const [fill, mark] = [make("span", "fill"), make("span", "mark")];
  fill.style.width = `${100 * share}%`;
  mark.style.left = `${100 * point}%`;
  whole.append(fill, mark);
  return whole;
}

// Returns whether there is one; what could not be measured is left out.
export function measurements(body, measured, normal) {
  const known = Object.keys(UNITS).filter((key) => typeof measured?.[key] === "number");
  body.replaceChildren(...known.map((key) => measurement(key, measured[key], normal?.[key])));
  return known.length > 0;
}

// The server says what is normal and what a value is by that (edge_runtime/waves/normal.py).
function measurement(key, value, normal) {
  const outside = normal && normal.judged !== "normal" ? text(`measured.is.${normal.judged}`) : "";
  const row = make("tr", outside && "outside");
  const name = make("th", "", text(`measurement.${key}`));
  name.scope = "row";
  if (outside) name.append(make("strong", "", begun(outside)));
  if (normal) name.append(make("small", "", begun(range(normal, UNITS[key]))));
  row.append(name, make("td", "", quantity(Math.round(value), UNITS[key])));
  return row;
}

const quantity = (value, unit) => `${value}${unit === "page.unit.deg" ? "" : "\u00a0"}${text(unit)}`;

const begun = (words) => words[0].toUpperCase() + words.slice(1);

function range({ low, high, women_high }, unit) {
  const between = (most) => {
    const words = quantity(most, unit);
    return low === null ? text("measured.upto", { high: words }) : text("measured.between", { low, high: words });
  };
  if (women_high === null) return text("measured.normal", { range: between(high) });
  return text("measured.by_sex", { men: between(high), women: between(women_high) });
}

// Where the ranges are from, each once.
export function sources(normal) {
  const named = new Set(Object.values(normal ?? {}).flatMap((one) => one.sources));
  return named.size ? text("page.sources", { sources: [...named].join("; ") }) : "";
}

// Cases like the page, each with where it is from. Codes that are findings of the model have their names.
export function similar(body, cases) {
  body.replaceChildren(...cases.map(alike));
}

function alike(found) {
  const item = make("li");
  const names = found.statements.map((code) => textOr(`finding.${code}`, code)).join(" · ");
  const sex = found.sex && text(`similar.${found.sex}`);
  const age = found.age !== null && text(found.age < 90 ? "similar.age" : "similar.oldest", { years: found.age });
  const patient = [sex, age].filter(Boolean).join(", ") || text("similar.unknown");
  const likeness = text("similar.similarity", { value: hundredths(found.similarity) });
  item.append(make("strong", "", names || text("similar.no_statements")), make("p", "", `${likeness} · ${patient}`));
  if (found.report.trim()) item.append(make("p", "", text("similar.report", { words: found.report })));
  item.append(make("p", "muted", text("similar.record", found)));
  return item;
}
