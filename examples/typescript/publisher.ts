// Publishes the control plane's events with JetStream.
import { CloudEvent, HTTP } from "cloudevents";
import { JetStreamApiError, type JetStreamClient } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
// The API serves this file at /schemas/accountexport.d.ts: copy it into your sources.
import type { EventsByType } from "../../schemas/accountexport.js";

// source says which program an event is from. An event's id is unique within it.
const source = "/example/control-plane";

// TierType is the type of the events of quota tiers, and AccountType those of accounts.
type TierType = "controlplane.quota_tier.defined.v1";
type AccountType = Exclude<keyof EventsByType, TierType>;
type Data<Type extends keyof EventsByType> = EventsByType[Type]["data"];

// accountEvent is an event of one account, given by the UUID of its user in lower case.
// Events without data have {}, which may not be left out.
export function accountEvent<Type extends AccountType>(type: Type, account: string, data: Data<Type>): Addressed {
  return addressed(type, `controlplane.account.${account}`, account, data);
}

// tierEvent is an event of a quota tier, which all accounts share.
export function tierEvent(type: TierType, data: Data<TierType>): Addressed {
  return addressed(type, `controlplane.quota_tier.${data.id}`, data.id, data);
}

// Addressed is an event and the subject that it is published on.
export interface Addressed {
  subject: string;
  event: CloudEvent<unknown>;
}

function addressed(type: string, subject: string, partitionkey: string, data: unknown): Addressed {
  // The constructor fills in id (a random UUID) and time (now). data is an object, and
  // no Buffer: that would become data_base64, which is not accepted.
  const event = new CloudEvent({ type, source, partitionkey, datacontenttype: "application/json", data });
  return { subject, event };
}

// publish publishes an event until it is acknowledged or refused, and returns its
// position in the stream. Where an acknowledgement does not come, nobody knows whether
// the stream has the message: it is published again with the same id, as Nats-Msg-Id,
// and JetStream drops the second.
//
// Await it before the account's next event is published: events of one account are
// folded in the order of the stream.
export async function publish(js: JetStreamClient, { subject, event }: Addressed, patience = 60_000): Promise<number> {
  const message = HTTP.structured(event);
  const h = headers();
  h.set("Content-Type", "application/cloudevents+json");
  for (const deadline = Date.now() + patience; ; ) {
    try {
      const ack = await js.publish(subject, message.body as string, { msgID: event.id, headers: h, timeout: 2_000 });
      return ack.seq;
    } catch (err) {
      if (err instanceof JetStreamApiError || Date.now() > deadline) {
        throw err;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
