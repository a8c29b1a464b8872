// Access tokens that must not be believed, made from one that is.
import { createHmac } from "node:crypto";

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const decode = (part) => JSON.parse(Buffer.from(part, "base64url"));

/** Header and claims of a token, unverified. */
export function read(token) {
  const [header, claims] = token.split(".");
  return { header: decode(header), claims: decode(claims) };
}

/** Signs with HMAC; `hash` is the node name of the digest. */
export function sign(header, claims, secret, hash = "sha256") {
  const body = `${encode(header)}.${encode(claims)}`;
  return `${body}.${createHmac(hash, secret).update(body).digest("base64url")}`;
}

/** The same token, good for `seconds` from now. */
export function short(token, seconds, secret) {
  const { header, claims } = read(token);
  return sign(header, { ...claims, exp: Date.now() / 1_000 + seconds }, secret);
}

/** Forgeries of `token`, by name; `secret` is the true one, for those that only lie about time. */
export function forgeries(token, secret) {
  const { header, claims } = read(token);
  const [head, body, signature] = token.split(".");
  const long = "another-secret-that-is-long-enough-0123456789";
  return {
    "algorithm none": `${encode({ ...header, alg: "none" })}.${body}.`,
    "algorithm None with the old signature": `${encode({ ...header, alg: "None" })}.${body}.${signature}`,
    "another secret": sign(header, claims, long),
    "empty secret": sign(header, claims, ""),
    "another algorithm": sign({ ...header, alg: "HS512" }, claims, long, "sha512"),
    "algorithm of a public key": `${encode({ ...header, alg: "RS256" })}.${body}.${signature}`,
    "claims exchanged": `${head}.${encode({ ...claims, sub: "00000000-0000-4000-8000-000000000000" })}.${signature}`,
    "signature cut": `${head}.${body}.${signature.slice(0, -4)}`,
    "no signature": `${head}.${body}`,
    "not a token": "hello",
    empty: "",
    "key in the header": sign({ ...header, jwk: { kty: "oct", k: encode(long) } }, claims, long),
    expired: sign(header, { ...claims, iat: 1_000_000_000, exp: 1_000_000_900 }, secret),
  };
}
