// Talks to the server. The token is kept for this tab only, and travels in a header: no cookie, so no other page can use it.

const KEY = "token";
const WAIT = 20; // seconds; silence is news as well
const PAUSE = 500; // milliseconds between two overviews, however much happens
const RETRY = 3000;

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  drop: () => sessionStorage.removeItem(KEY),
};

export async function ask(method, path, body, signal) {
  const headers = { Authorization: `Token ${token.get()}` };
  const answer = await fetch(path, { method, headers, signal, body: body && JSON.stringify(body) });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, said.message ?? `the server answers ${answer.status}`);
  return said;
}

const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

// Calls `show` with every overview and `trouble` with what keeps them from coming, until a token is refused.
export async function follow(show, trouble, signal) {
  let known = "";
  while (!signal.aborted) {
    try {
      const overview = await ask("GET", `/api/overview?known=${known}&wait=${WAIT}`, undefined, signal);
      known = overview.version;
      show(overview);
      await pause(PAUSE);
    } catch (error) {
      if (signal.aborted || error.status === 401 || error.status === 403) throw error;
      trouble(error);
      await pause(RETRY);
    }
  }
}
