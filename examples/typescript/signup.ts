// Signs up an account, given by its UUID and e-mail address, on the NATS server of
// NATS_URL, and prints the position of its last event. Where EXPORT_URL and TOKEN are
// set, it also fetches the account's export as of that position, and prints some of it.
import { randomUUID } from "node:crypto";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import type { AccountExport } from "../../schemas/accountexport.js";
import { accountEvent, publish, tierEvent } from "./publisher.js";

const [account, email] = process.argv.slice(2);
if (account === undefined || email === undefined) {
  console.error("usage: node dist/signup.js ACCOUNT EMAIL");
  process.exit(2);
}

const nc = await connect({ servers: process.env["NATS_URL"] ?? "nats://127.0.0.1:4222", maxReconnectAttempts: -1 });
try {
  const js = jetstream(nc);
  await publish(js, tierEvent("controlplane.quota_tier.defined.v1", {
    id: "free", display_name: "Free", max_concurrent_sandboxes: 3, daily_sandbox_creates: 50, daily_gb_hours: 1.5,
  }));
  await publish(js, accountEvent("controlplane.user.registered.v1", account, { email, tier: "free", quota_tier_id: "free" }));
  await publish(js, accountEvent("controlplane.user.email_verified.v1", account, {}));
  const position = await publish(js, accountEvent("controlplane.team.created.v1", account, {
    id: randomUUID(), name: `${email}'s team`, slug: `team-${account.slice(0, 8)}`, quota_tier_id: "free",
  }));
  console.log(`position ${position}`);

  const url = process.env["EXPORT_URL"];
  if (url !== undefined) {
    // The projector folds an event a moment after it is acknowledged. With min_position
    // the API answers once it has, or with 503 after the seconds that Prefer gives.
    const answer = await fetch(`${url}?min_position=${position}`, {
      headers: { Authorization: `Bearer ${process.env["TOKEN"]}`, Prefer: "wait=10" },
    });
    if (!answer.ok) {
      throw new Error(`${answer.status}: ${await answer.text()}`);
    }
    const document = (await answer.json()) as AccountExport;
    console.log(`${document.user.email} of team ${document.team.slug} is on tier ${document.quota_tier.display_name}`);
  }
} finally {
  await nc.close();
}
