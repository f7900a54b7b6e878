// An OpenID Connect provider: node oidc.mjs MODULE ISSUER PORT REDIRECT_URI
//
// Whoever types a name into its login form is that person, with a confirmed address at example.org.
const [module, issuer, port, redirect] = process.argv.slice(2);
const { Provider } = await import(module);

const provider = new Provider(issuer, {
  clients: [
    { client_id: "lowtide", client_secret: "a secret, with + and %", redirect_uris: [redirect] },
  ],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  pkce: { required: () => true },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: id, email: `${id}@example.org`, email_verified: id !== "mallory" }),
  }),
});
provider.listen(Number(port), "127.0.0.1");
