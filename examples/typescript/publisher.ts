// Publishes the control plane's events with JetStream.
import { CloudEvent, HTTP } from "cloudevents";
import { JetStreamApiError, type JetStreamClient } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";

// source says which program an event is from. An event's id is unique within it.
const source = "/example/control-plane";

// accountEvent is an event of one account, given by the UUID of its user in lower case.
// Events without data have {}, which may not be left out.
export function accountEvent(type: string, account: string, data: object = {}): Addressed {
  return addressed(type, `controlplane.account.${account}`, account, data);
}

// tierEvent is an event of a quota tier, which all accounts share.
export function tierEvent(type: string, tier: string, data: object): Addressed {
  return addressed(type, `controlplane.quota_tier.${tier}`, tier, data);
}

export interface Addressed {
  subject: string;
  event: CloudEvent<object>;
}

function addressed(type: string, subject: string, partitionkey: string, data: object): Addressed {
  // The constructor fills in id (a random UUID) and time (now). data is an object, and
  // no Buffer: that would become data_base64, which is not accepted.
  const event = new CloudEvent<object>({
    type: `controlplane.${type}`, source, partitionkey, datacontenttype: "application/json", data,
  });
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
