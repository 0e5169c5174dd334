// What compiles here, and what does not, is what the types promise.
import type { AccountExport, AnyEvent, EventsByType, JSONObject, QuotaTierDefinedV1, TeamUpdatedV1Data, UserRegisteredV1, UserRestoredV1 } from "./accountexport.js";

const envelope = { specversion: "1.0", id: "e-1", source: "/control-plane/api", time: "2026-03-25T07:10:47Z" } as const;

export const registered: UserRegisteredV1 = {
  ...envelope,
  type: "controlplane.user.registered.v1",
  partitionkey: "64c38c41-1961-4698-82a7-af9eab79b005",
  data: { email: "ada@example.com", tier: "pro", quota_tier_id: "pro", name: null, is_operator: false },
};
export const restored: UserRestoredV1 = { ...envelope, type: "controlplane.user.restored.v1", data: {} };
export const tier: QuotaTierDefinedV1 = {
  ...envelope,
  type: "controlplane.quota_tier.defined.v1",
  data: { id: "pro", display_name: "Pro", max_concurrent_sandboxes: 5, daily_sandbox_creates: 100, daily_gb_hours: 0.5 },
};
export const metadata: JSONObject = { owner: "ada", limits: { cpu: [1, 2.5, null] } };

// Extensions are ignored, and so is what an event without fields has in its data.
export const extended: UserRestoredV1 = { ...envelope, type: "controlplane.user.restored.v1", data: { reason: "appeal" }, traceparent: "00-1", data_base64: null };
// @ts-expect-error: data is JSON.
export const bytes: UserRestoredV1 = { ...envelope, type: "controlplane.user.restored.v1", data: {}, data_base64: "e30=" };

// @ts-expect-error: a required field is missing.
export const noEmail: UserRegisteredV1["data"] = { tier: "pro", quota_tier_id: "pro" };
// @ts-expect-error: a patch field that is not nullable.
export const noName: TeamUpdatedV1Data = { id: "74c38c41-1961-4698-82a7-af9eab79b005", name: null };
// @ts-expect-error: a field that the type has not.
export const extra: TeamUpdatedV1Data = { id: "74c38c41-1961-4698-82a7-af9eab79b005", nmae: "x" };
// @ts-expect-error: an integer is no text.
export const text: QuotaTierDefinedV1["data"]["daily_sandbox_creates"] = "100";
// @ts-expect-error: the data of another type.
export const other: EventsByType["controlplane.sandbox.started.v1"] = { ...envelope, type: "controlplane.sandbox.started.v1", data: { status: "running" } };
// @ts-expect-error: no type of ours.
export const unknown: AnyEvent["type"] = "controlplane.user.renamed.v9";

// The type says which event it is.
export function who(event: AnyEvent): string {
  switch (event.type) {
    case "controlplane.user.registered.v1":
      return event.data.email;
    case "controlplane.sandbox.created.v1":
      return event.data.status ?? "pending";
  }
  return event.id;
}

export function expires(document: AccountExport): (string | null)[] {
  // @ts-expect-error: it may be null.
  document.user.name.length;
  return document.api_keys.map((key) => key.expires_at);
}
