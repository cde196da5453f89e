// The page at work: a picture in, its answer out, further questions. Nothing of a patient is kept beyond this page:
// the browser's storage holds the server's token and the language, until the tab is closed.

import { accepted, ask, Refused } from "./ask.js";
import { prepared, TooLarge, Unreadable } from "./picture.js";
import { findings, make, measurements, similar, sources } from "./show.js";
import { preferred, speak, text } from "./texts.js";

const $ = (id) => document.getElementById(id);
const kept = sessionStorage;
let about;
// The picture as a data URL, which page of its file's is read, what was said of it (each { question, answer, extension,
// element }), whether it is answered though it may be no ECG, and what is being asked.
let page = null;
let asking = null;

// --- what is seen ---------------------------------------------------------------------------------

function show(part) {
  $("token-form").hidden = part !== "token";
  $("choose").hidden = part !== "choose";
  $("result").hidden = part !== "result";
  if (part === "token") $("token").focus();
}

function fail(what, detail = "") {
  $("error").hidden = !what;
  $("error-what").textContent = what;
  $("error-detail").textContent = detail;
}

function caption() {
  if (!page) return;
  $("pages").hidden = page.pages < 2;
  $("which").textContent = text("page.which", page);
  $("previous").setAttribute("aria-disabled", String(page.number === 1)); // not disabled: the focus would be lost
  $("next").setAttribute("aria-disabled", String(page.number === page.pages));
  const key = page.flat ? "page.seen" : "page.photo";
  $("caption").textContent = text(key);
  $("picture").alt = text(key);
  $("enlarge").textContent = text($("frame").classList.contains("large") ? "page.fit" : "page.enlarge");
}

function enlarge(large) {
  $("frame").classList.toggle("large", large);
  if (large) $("frame").tabIndex = 0; // so that the arrow keys move it
  else $("frame").removeAttribute("tabindex");
  $("enlarge").setAttribute("aria-pressed", String(large));
  caption();
}

function busy(stage) {
  document.body.classList.toggle("busy", Boolean(stage));
  $("conversation").setAttribute("aria-busy", String(Boolean(stage))); // read out whole, not piece by piece
  $("status").textContent = stage ? text(stage) : "";
  $("stop").hidden = !stage;
}

// All that stands beside the words of the answers.
function tell() {
  if (!page) return;
  caption();
  const first = page.turns[0]?.extension;
  $("findings").hidden = !first?.findings.length;
  if (first) findings($("finding-rows"), first.findings);
  $("measurements").hidden = !measurements($("measurement-rows"), first?.measurements, first?.normal);
  $("sources").textContent = sources(first?.normal);
  $("similar").hidden = !first?.similar?.length;
  similar($("similar-cases"), first?.similar ?? []);
  $("model").textContent = first ? text("page.model", { name: first.model, target: first.target }) : "";
  $("follow").hidden = !first || first.refused;
  $("send").disabled = Boolean(asking);
}

// The words of one turn; those before it are left alone, so that a screen reader does not read them again.
function write(turn) {
  turn.element.replaceChildren(...parts(turn));
}

function parts({ question, answer, extension }) {
  const parts = question ? [make("p", "asked", question)] : [];
  if (extension?.refused) {
    const percent = Math.round(100 * extension.is_ecg);
    const help = extension.problem ? `quality.${extension.problem}` : "page.help";
    const anyway = make("button", "button", text("result.anyway"));
    anyway.type = "button";
    anyway.addEventListener("click", answerAnyway);
    return [...parts, make("p", "said", text("result.not_ecg", { percent })), make("p", "help", text(help)), anyway];
  }
  if (page.anyway) parts.push(make("p", "help", text("page.doubtful")));
  const words = make("p", "said", answer);
  words.lang = "en"; // the language that models answer in
  parts.push(words);
  if (extension?.whole !== null && extension?.whole < 0.5) parts.push(make("p", "help", text("result.part")));
  if (extension?.left_out.length) {
    parts.push(make("p", "muted", text("result.left_out", { words: extension.left_out.join("; ") })));
  }
  return parts;
}

// --- asking ---------------------------------------------------------------------------------------

async function open(file) {
  if (!file || !about || (about.token && !kept.token)) return;
  forget();
  let url;
  try {
    url = await prepared(file, about);
  } catch (error) {
    if (error instanceof TooLarge) fail(text("page.failed.large"));
    else if (error instanceof Unreadable) fail(text("error.picture"));
    else throw error;
    return;
  }
  page = { url, number: 1, pages: 1, turns: [], flat: false, anyway: false, preview: URL.createObjectURL(file) };
  $("frame").hidden = false;
  $("picture").src = page.preview;
  show("result");
  $("report-title").focus({ preventScroll: true }); // where a screen reader goes on
  await converse("");
}

// Another page of the same file: of the one before, nothing is known any more.
async function leaf(by) {
  const number = page.number + by;
  if (number < 1 || number > page.pages) return;
  Object.assign(page, { number, turns: [], flat: false, anyway: false });
  $("conversation").replaceChildren();
  $("frame").classList.add("turning");
  await converse("");
}

// The refused turn is asked again, and so are all that follow.
async function answerAnyway() {
  page.anyway = true;
  const { question, element } = page.turns.pop();
  element.remove();
  $("report-title").focus({ preventScroll: true }); // the button that had it is gone
  await converse(question);
}

async function converse(question) {
  const asked = page;
  const stop = new AbortController();
  const now = { question, answer: "", extension: null, element: make("div") };
  asking?.abort();
  asking = stop;
  asked.turns.push(now);
  $("conversation").append(now.element);
  write(now);
  fail("");
  $("again").hidden = true;
  busy("result.waiting");
  tell();
  const mine = () => asking === stop;
  try {
    const cases = about.cases && asked.turns.length === 1 ? 3 : null;
    const wanted = { page_number: asked.number, allow_non_ecg: asked.anyway, similar: cases };
    const onPage = (told) => mine() && flat(told);
    now.extension = await ask(messages(asked), kept.token, wanted, stop.signal, onPage, (words) => {
      if (!mine()) return;
      now.answer += words;
      $("status").textContent = text("result.answering");
      write(now);
    });
    if (!mine()) return;
    write(now);
    ended();
  } catch (error) {
    if (!mine()) return; // another picture was chosen meanwhile
    asked.turns.pop();
    now.element.remove();
    ended();
    asked.again = question;
    $("again").hidden = false;
    if (stop.signal.aborted) $("status").textContent = text("result.stopped");
    else explain(error);
  }
}

function ended() {
  asking = null;
  busy("");
  tell();
}

// The page as the model saw it stands in the place of the picture that was sent.
function flat(told) {
  page.pages = told.pages;
  if (told.page) {
    page.flat = true;
    $("frame").hidden = false;
    $("frame").classList.remove("turning");
    $("picture").src = told.page;
  }
  caption();
}

function messages({ url, turns }) {
  return turns.flatMap(({ question, answer }, index) => {
    const words = question ? [{ type: "text", text: question }] : [];
    const picture = index ? [] : [{ type: "image_url", image_url: { url } }];
    const user = { role: "user", content: [...picture, ...words] };
    return index < turns.length - 1 ? [user, { role: "assistant", content: answer }] : [user];
  });
}

function explain(error) {
  if (!(error instanceof Refused)) fail(text("page.failed.network"));
  else if (error.status === 401) {
    delete kept.token;
    forget();
    fail(text("page.token.wrong"));
    show("token");
  } else if (error.status === 413) fail(text("page.failed.large"));
  else if (error.status === 429) fail(text("page.failed.busy", { seconds: error.retryAfter ?? 2 }));
  else if (error.status === 504) fail(text("page.failed.late"));
  else if (error.status === 0) fail(text("page.failed.network"));
  else if (error.status === 400 && (page.turns.length || page.pages > 1)) fail(text("error.answer"), error.message);
  else if (error.status === 400) {
    forget();
    fail(text("error.picture"), error.message);
  }
  else fail(text("page.failed.server"), error.message);
}

function forget() {
  asking?.abort();
  asking = null;
  if (page) URL.revokeObjectURL(page.preview);
  page = null;
  fail("");
  busy("");
  enlarge(false);
  $("frame").classList.remove("turning");
  $("conversation").replaceChildren();
  $("picture").removeAttribute("src");
  $("again").hidden = true;
  $("question").value = "";
  for (const input of [$("camera"), $("file")]) input.value = "";
  show("choose");
}

// --- hands ----------------------------------------------------------------------------------------

function listen() {
  for (const input of [$("camera"), $("file")]) input.addEventListener("change", () => open(input.files[0]));
  $("picture").addEventListener("error", () => ($("frame").hidden = true)); // a PDF: the server draws it
  $("enlarge").addEventListener("click", () => enlarge(!$("frame").classList.contains("large")));
  $("previous").addEventListener("click", () => leaf(-1));
  $("next").addEventListener("click", () => leaf(1));
  $("another").addEventListener("click", () => {
    forget();
    $("file").focus();
  });
  $("stop").addEventListener("click", () => asking?.abort());
  $("again").addEventListener("click", () => converse(page.again));
  $("follow").addEventListener("submit", (event) => {
    event.preventDefault();
    const question = $("question").value.trim();
    if (!question || asking) return;
    $("question").value = "";
    converse(question);
  });
  $("token-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const token = $("token").value.trim();
    $("token").value = "";
    try {
      if (!(await accepted(token))) return fail(text("page.token.wrong"));
    } catch {
      return fail(text("page.failed.network"));
    }
    kept.token = token;
    fail("");
    show("choose");
  });
  $("language").addEventListener("change", async () => {
    try {
      await speak($("language").value);
    } catch {
      return fail(text("page.failed.network"));
    }
    kept.language = $("language").value;
    page?.turns.forEach(write);
    tell();
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", () => document.body.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    open(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => open(event.clipboardData.files[0]));
  addEventListener("pageshow", (event) => event.persisted && forget()); // gone back to: the next user's page is empty
}

about = await (await fetch("/page/about.json", { cache: "no-store" })).json();
for (const { code, name } of about.languages) $("language").append(new Option(name, code));
$("language").value = kept.language ?? preferred(about.languages);
await speak($("language").value);
listen();
show(about.token && !kept.token ? "token" : "choose");
$("all").hidden = false;
