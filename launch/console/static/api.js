/** Requests to the console. */

async function request(path, { method = "GET", body } = {}) {
  const answer = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
  }).catch(() => {
    throw new Error("the console does not answer; is it running?");
  });
  if (answer.status === 401) {
    location.assign("/login");
    throw new Error("you are signed out; sign in again");
  }
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    throw new Error(said.error ?? `the console answers ${answer.status} ${answer.statusText}`);
  }
  return answer;
}

/**
 * Ask for JSON.
 * @param {string} path
 * @param {{method?: string, body?: object}} [options]
 * @returns {Promise<object>}
 * @throws {Error} with one line to show, when it is refused
 */
export async function api(path, options) {
  const answer = await request(path, options);
  return answer.status === 204 ? {} : answer.json();
}

/** A name for one request, so that a double click, or a request that is sent again, is one. */
export function requestId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Ask for bytes. @param {string} path @returns {Promise<ArrayBuffer>} */
export async function blob(path) {
  return (await request(path)).arrayBuffer();
}
