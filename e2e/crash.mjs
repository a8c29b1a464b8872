// node crash.mjs [--rounds 20] [--senders 16] [--rooms 4] [--silence-ms-max 3000] [--bin path]
// Kills the server under load and proves that nothing acknowledged is lost. Exit status 1 on a violation.
import { parseArgs } from "node:util";
import { crashRounds } from "./support/crash-rounds.mjs";
import { MYNAH_BIN } from "./support/server.mjs";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "20" },
    senders: { type: "string", default: "16" },
    rooms: { type: "string", default: "4" },
    "silence-ms-max": { type: "string", default: "3000" },
    bin: { type: "string", default: MYNAH_BIN },
  },
});

const result = await crashRounds({
  bin: values.bin,
  rounds: Number(values.rounds),
  senders: Number(values.senders),
  rooms: Number(values.rooms),
  silenceMsMax: Number(values["silence-ms-max"]),
  report: (line) => console.log(line),
}).catch((error) => {
  console.error(`FAILED: ${error.message}`);
  process.exit(1);
});
const { ok, rounds, acked, lost, doubled, gaps, conflicts, silent } = result;
console.log(
  `${ok ? "OK" : "VIOLATED"}: ${rounds} kills, ${acked} acknowledged, ${lost} lost, ${doubled} doubled, ` +
    `${gaps} gaps, ${conflicts} contradicting acks, ${silent} rounds silent for too long`,
);
process.exit(ok ? 0 : 1);
