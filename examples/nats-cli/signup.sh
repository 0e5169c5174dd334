#!/bin/sh
# Signs up an account, given by its UUID in lower case and its e-mail address, with the
# `nats` command alone, on the server of NATS_URL or of the selected context.
set -eu
account=$1 email=$2
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)

# publish SUBJECT TYPE DATA: publishes one event, and waits for the acknowledgement,
# which prints the event's position. Without one, the same event may be published again
# with the same id: by Nats-Msg-Id, JetStream drops the second within two minutes.
#
# partitionkey is the last token of the subject. --no-templates sends the payload as it
# is, where it has {{ in it, too.
publish() {
    id=$(cat /proc/sys/kernel/random/uuid)
    nats publish --jetstream --no-templates -H "Nats-Msg-Id:$id" -H "Content-Type:application/cloudevents+json" "$1" \
        '{"specversion":"1.0","id":"'"$id"'","source":"/example/by-hand","type":"controlplane.'"$2"'","time":"'"$now"'",
          "partitionkey":"'"${1##*.}"'","datacontenttype":"application/json","data":'"$3"'}'
}

publish controlplane.quota_tier.free quota_tier.defined.v1 '{"id":"free","display_name":"Free",
    "max_concurrent_sandboxes":3,"daily_sandbox_creates":50,"daily_gb_hours":1.5}'
publish "controlplane.account.$account" user.registered.v1 '{"email":"'"$email"'","tier":"free","quota_tier_id":"free"}'
publish "controlplane.account.$account" team.created.v1 '{"id":"'"$(cat /proc/sys/kernel/random/uuid)"'","name":"Team",
    "slug":"team","quota_tier_id":"free"}'
