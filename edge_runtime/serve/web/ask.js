// OpenAI's chat completions, streamed: https://platform.openai.com/docs/api-reference/chat/streaming

export class Refused extends Error {
  constructor(status, message, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export async function accepted(token) {
  const answer = await fetch("/v1/models", { headers: bearing(token), cache: "no-store", credentials: "omit" });
  return answer.ok;
}

// Resolves to the field "pulse" of the last piece. onPage: told the picture that the model saw. onText: each piece.
// wishes: more of the request's field "pulse".
export async function ask(messages, token, wishes, signal, onPage, onText) {
  const first = messages.length === 1;
  const answer = await fetch("/v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json", ...bearing(token) },
    body: JSON.stringify({ messages, stream: true, pulse: { page: first, measure: true, ...wishes } }),
    cache: "no-store",
    credentials: "omit",
    signal,
  });
  if (!answer.ok) throw await refusal(answer);
  let extension = null;
  for await (const data of events(answer.body)) {
    if (data === "[DONE]") return extension;
    const piece = JSON.parse(data);
    if (piece.error) throw new Refused(answer.status, piece.error.message);
    if (piece.pulse?.page) onPage(piece.pulse.page);
    if (piece.pulse?.findings) extension = { ...piece.pulse, model: piece.model };
    const words = piece.choices[0].delta.content;
    if (words) onText(words);
  }
  throw new Refused(0, ""); // the connection broke: what came is no whole answer
}

function bearing(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function refusal(answer) {
  const body = await answer.json().catch(() => null);
  return new Refused(answer.status, body?.error?.message ?? "", answer.headers.get("Retry-After"));
}

// The data of server-sent events, one line each as this server writes them.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data: ")) yield line.slice(6);
  }
}
