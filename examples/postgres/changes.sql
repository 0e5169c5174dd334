-- A day of the toy control plane. It writes no events itself: the triggers do, in its
-- transactions.

BEGIN;
INSERT INTO sandboxes (id, user_id, template, metadata) VALUES ('sb-4', '3c90c3cc-0d44-4b50-8888-8dd25736052a', 'go', '{"region": "eu"}');
INSERT INTO quota_usage AS q (team_id, usage_date, sandbox_creates, gb_hours) VALUES ('7a90c3cc-0d44-4b50-8888-8dd25736052a', '2026-11-28', 1, 0)
ON CONFLICT (team_id, usage_date) DO UPDATE SET sandbox_creates = q.sandbox_creates + 1;
COMMIT;

UPDATE sandboxes SET status = 'running', started_at = clock_timestamp() WHERE id = 'sb-4';
UPDATE users SET email = 'jay@example.com', email_verified_at = NULL, abuse_flags = '{"watched": true}' WHERE email = 'jsmith@example.com';
UPDATE quota_usage SET gb_hours = gb_hours + 0.5 WHERE team_id = '7a90c3cc-0d44-4b50-8888-8dd25736052a' AND usage_date = '2026-11-28';

BEGIN;
UPDATE api_keys SET is_active = false WHERE key_prefix = 'sk_b';
ROLLBACK; -- which no event tells of

NOTIFY outbox; -- after the commits: it wakes the relay, which looks ten times a second without it
