// An identity provider on loopback, as far as a sign-in needs it: it lets in whoever `person` names, and holds the deployment to
// the authorization code flow with PKCE (RFC 7636).

import { createHash, randomUUID } from "node:crypto";
import { createServer } from "node:http";

export const CLIENT = "walk";

export async function startProvider() {
  const state = { person: null };
  const codes = new Map();
  const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const server = createServer(async (request, response) => {
    const issuer = `http://127.0.0.1:${server.address().port}`;
    const url = new URL(request.url, issuer);
    const answer = (status, body) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    const back = (to, more) => {
      const target = new URL(to);
      for (const [name, value] of Object.entries(more)) target.searchParams.set(name, value);
      response.writeHead(302, { location: target.href }).end();
    };
    if (url.pathname === "/.well-known/openid-configuration") {
      return answer(200, { issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token` });
    }
    if (url.pathname === "/authorize") {
      const asked = Object.fromEntries(url.searchParams);
      if (asked.client_id !== CLIENT || asked.code_challenge_method !== "S256" || !asked.nonce) return answer(400, { error: "invalid_request" });
      if (!state.person) return back(asked.redirect_uri, { state: asked.state, error: "access_denied", error_description: "you cancelled" });
      const code = randomUUID();
      codes.set(code, { asked, person: state.person });
      return back(asked.redirect_uri, { state: asked.state, code });
    }
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    const known = codes.get(form.get("code"));
    codes.delete(form.get("code"));
    const challenge = createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url");
    if (url.pathname !== "/token" || !known || known.asked.redirect_uri !== form.get("redirect_uri") || known.asked.code_challenge !== challenge) return answer(400, { error: "invalid_grant" });
    const { name, email } = known.person;
    const claims = { iss: issuer, sub: email, aud: CLIENT, exp: Math.floor(Date.now() / 1000) + 300, nonce: known.asked.nonce, name, email, email_verified: true };
    return answer(200, { token_type: "Bearer", access_token: randomUUID(), id_token: `${encoded({ alg: "none" })}.${encoded(claims)}.` });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    issuer: `http://127.0.0.1:${server.address().port}`,
    /** Who signs in next, as `{name, email}`; nobody: they cancel. */
    is: (person) => (state.person = person),
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
