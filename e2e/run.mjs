// Runs the suites: those that mostly wait side by side, then all others one after another, as some measure time.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";

/** Suites whose time is that of timers, their own or the server's, and which measure nothing shorter. */
const PATIENT = [
  "admin-ui",
  "cluster-presence",
  "credentials",
  "credentials-refresh",
  "farewell",
  "pusher-come-again",
  "pusher-connect",
  "pusher-faults-http",
  "pusher-house",
  "pusher-presence",
  "pusher-replay",
  "pusher-webhooks",
  "pusher-webhooks-dead",
].map((name) => `${name}.test.mjs`);
const SIDE_BY_SIDE = 4;

function run(files, concurrency, options = []) {
  const args = ["--test", `--test-concurrency=${concurrency}`, "--test-force-exit", ...options];
  const { status, error } = spawnSync(process.execPath, [...args, ...files], { stdio: "inherit" });
  if (error) throw error;
  return status ?? 1;
}

const args = process.argv.slice(2);
const options = args.filter((arg) => arg.startsWith("-"));
const named = args.filter((arg) => !arg.startsWith("-"));
if (named.length > 0) {
  process.exitCode = run(named, 1, options);
} else {
  const all = readdirSync(".").filter((name) => name.endsWith(".test.mjs"));
  const others = all.filter((name) => !PATIENT.includes(name)).sort();
  const patient = run(PATIENT, SIDE_BY_SIDE, options);
  process.exitCode = run(others, 1, options) || patient;
}
