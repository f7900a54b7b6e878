// Requests to the API. Its errors say what to do, so they are shown as they are.

/** An answer that is an error, or none at all (`status` 0). */
export class Problem extends Error {
  constructor(status, title, detail) {
    super(detail);
    this.status = status;
    this.title = title;
  }

  /** The field that the problem is about, such as `model.api_key` or `model.fallbacks[0].model`. Errors begin with it, or ask to give it again. */
  get field() {
    return (/^([a-z][\w.[\]-]*):? /.exec(this.message) ?? / give ([a-z]+\.[\w.-]+) again/.exec(this.message))?.[1] ?? null;
  }
}

/** A request; gives what came back, its media type and its `ETag`. `asks`: only whether somebody is signed in is to be found out. */
async function send(method, path, { body, text, ifMatch, ifNoneMatch, signal, asks = false } = {}) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (text !== undefined) headers["content-type"] = "text/markdown; charset=utf-8";
  if (ifMatch !== undefined) headers["if-match"] = typeof ifMatch === "number" ? `"${ifMatch}"` : ifMatch;
  if (ifNoneMatch !== undefined) headers["if-none-match"] = ifNoneMatch;
  let response;
  try {
    response = await fetch(path, { method, headers, signal, body: text ?? (body === undefined ? undefined : JSON.stringify(body)) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "Not reached", "Lowtide does not answer. See whether it is running and whether you are online, then try again.");
  }
  const kind = response.headers.get("content-type") ?? "";
  const etag = response.headers.get("etag");
  if (response.ok) {
    const data = kind.includes("json") ? await response.json() : await response.text();
    return { data, etag, kind };
  }
  const problem = kind.includes("json") ? await response.json().catch(() => ({})) : {};
  if (response.status === 401 && !asks && !path.startsWith("/v1/sign-in")) window.dispatchEvent(new Event("signed-out"));
  throw new Problem(response.status, problem.title ?? `Error ${response.status}`, problem.detail ?? "The answer says nothing more. Try again.");
}

export const get = async (path, options) => (await send("GET", path, options)).data;
export const getTagged = (path, options) => send("GET", path, options);
export const post = async (path, body, options) => (await send("POST", path, { body, ...options })).data;
export const patch = async (path, body, options) => (await send("PATCH", path, { body, ...options })).data;
export const put = (path, text, options) => send("PUT", path, { text, ...options });
export const remove = (path, options) => send("DELETE", path, options);

/** Items of a list, or what stands in for them where the list cannot be had. */
export const items = async (path, options) => (await get(path, options)).items;

/** A path of which each part is encoded. */
export const path = (...parts) => `/${parts.map((part) => encodeURIComponent(part)).join("/")}`;

/** The API's path of a bot. */
export const botPath = (bot, ...parts) => path("v1", "bots", bot, ...parts);
