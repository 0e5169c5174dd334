// Makes javascript.ndjson: what the CloudEvents SDK for JavaScript sends for events that
// were made rightly and wrongly. `npm install cloudevents@10.0.0 && node javascript.mjs > javascript.ndjson`
import { CloudEvent, HTTP } from "cloudevents";
const account = "3c90c3cc-0d44-4b50-8888-8dd25736052a";
const base = { id: "js-1", source: "/js", type: "controlplane.user.email_changed.v1", time: "2026-03-25T07:11:48Z", partitionkey: account };
const data = { email: "a@example.org" };
const usage = { team_id: "7a90c3cc-0d44-4b50-8888-8dd25736052a", usage_date: "2026-03-25", sandbox_creates: 3, gb_hours: 0.5 };
const used = { ...base, type: "controlplane.quota_usage.recorded.v1" };
const cases = {
  "good": new CloudEvent({ ...base, data }),
  "buffer": new CloudEvent({ ...base, data: Buffer.from(JSON.stringify(data)) }),
  "uint8array": new CloudEvent({ ...base, datacontenttype: "application/json", data: new TextEncoder().encode(JSON.stringify(data)) }),
  "stringified": new CloudEvent({ ...base, datacontenttype: "application/json", data: JSON.stringify(data) }),
  "stringified without content type": new CloudEvent({ ...base, data: JSON.stringify(data) }),
  "no data": new CloudEvent({ ...base, type: "controlplane.user.email_verified.v1" }),
  "text content type": new CloudEvent({ ...base, datacontenttype: "text/plain", data }),
  "upper-case account": new CloudEvent({ ...base, partitionkey: account.toUpperCase(), data }),
  "a bigint as text": new CloudEvent({ ...used, data: { ...usage, sandbox_creates: String(3n) } }),
  "a sum of floats": new CloudEvent({ ...used, data: { ...usage, gb_hours: 0.1 + 0.2 } }),
  "camel case": new CloudEvent({ ...used, data: { teamId: usage.team_id, usageDate: usage.usage_date, sandboxCreates: 3, gbHours: 0.5 } }),
  "undefined field": new CloudEvent({ ...base, data: { email: undefined } }),
  "octet stream": new CloudEvent({ ...base, datacontenttype: "application/octet-stream", data: Buffer.from(JSON.stringify(data)) }),
};
const out = [];
for (const [name, e] of Object.entries(cases)) {
  out.push({ name, how: "toString", payload: e.toString() });
  const s = HTTP.structured(e); out.push({ name, how: "structured", headers: s.headers, payload: s.body });
  const b = HTTP.binary(e); out.push({ name, how: "binary", headers: b.headers, payload: typeof b.body === "string" ? b.body : (b.body === undefined ? null : Buffer.from(b.body).toString()) });
}
out.push({ name: "batch", how: "structured", headers: { "content-type": "application/cloudevents-batch+json" }, payload: JSON.stringify([cases.good, cases.good]) });
for (const o of out) console.log(JSON.stringify(o));
