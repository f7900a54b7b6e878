// Who is signed in, and what they may do. What somebody may not do is not offered to them; the API refuses it all the same.

let me = null;

/** Takes note of who is there, as `GET /v1/me` tells. */
export function recognise(known) {
  me = known;
}

export const whoIsThere = () => me;

/** Whether they have a scope, such as `bots:write`. */
export const may = (scope) => !scope || Boolean(me?.scopes.includes(scope));
