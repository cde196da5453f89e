// Every word the page says: one file a language in languages/. What a language lacks is said in English.

const WHOLE = "en";
let texts = {};

async function read(code) {
  const answer = await fetch(`/page/languages/${code}.json`, { cache: "no-store" });
  return (await answer.json()).texts;
}

// The first of the browser's languages that the page has, else English.
export function preferred(languages) {
  const wanted = (navigator.languages ?? [navigator.language]).map((code) => code.toLowerCase().split("-")[0]);
  return wanted.find((code) => languages.some((language) => language.code === code)) ?? WHOLE;
}

export async function speak(code) {
  const whole = await read(WHOLE);
  texts = code === WHOLE ? whole : { ...whole, ...(await read(code)) };
  document.documentElement.lang = code;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
}

export function text(key, values = {}) {
  if (!(key in texts)) throw new Error(`there is no text ${key}`);
  const whole = texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  return whole.replaceAll(" %", "\u00a0%"); // a figure and its sign stay on one line
}

// The text, or what stands in for it where the page has none (findings of a bundle of one's own).
export function textOr(key, other) {
  return texts[key] ?? other;
}
