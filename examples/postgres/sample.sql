-- What the toy control plane has come to hold over the years.

INSERT INTO quota_tiers VALUES ('free', 'Free', 2, 20, 10), ('pro', 'Professional', 20, 500, 250.5);

INSERT INTO users (id, email, tier, quota_tier_id, name, display_name, email_verified_at, abuse_flags, created_at, updated_at) VALUES
    ('3c90c3cc-0d44-4b50-8888-8dd25736052a', 'jsmith@example.com', 'pro', 'pro', 'J. "Jay" Smith', 'jay', '2023-11-07 05:40:00+00',
        '{"spam": {"score": 1.50}}', '2023-11-07 05:31:56.123456+00', '2024-02-01 10:00:00+00'),
    ('4d90c3cc-0d44-4b50-8888-8dd25736052a', 'other@example.com', 'free', 'free', NULL, NULL, NULL, '{}', '2024-05-01 10:00:00+02', '2024-05-01 10:00:00+02');
UPDATE users SET soft_deleted_at = now(), delete_scheduled_at = now() + interval '30 days' WHERE email = 'other@example.com';

INSERT INTO teams (id, account_id, name, slug, owner_user_id, quota_tier_id, created_at, updated_at) VALUES
    ('7a90c3cc-0d44-4b50-8888-8dd25736052a', '3c90c3cc-0d44-4b50-8888-8dd25736052a', 'Smiths', 'smiths', '3c90c3cc-0d44-4b50-8888-8dd25736052a', 'pro',
        '2023-11-07 05:31:57+00', '2024-01-01 00:00:00+00'),
    ('7b90c3cc-0d44-4b50-8888-8dd25736052a', '4d90c3cc-0d44-4b50-8888-8dd25736052a', 'Others', 'others', '4d90c3cc-0d44-4b50-8888-8dd25736052a', 'free', '2024-05-01 08:00:01+00', '2024-05-01 08:00:01+00');

INSERT INTO quota_usage (team_id, usage_date, sandbox_creates, gb_hours, updated_at) VALUES
    ('7a90c3cc-0d44-4b50-8888-8dd25736052a', '2024-03-01', 3, 1.25, '2024-03-01 23:59:59+00'),
    ('7a90c3cc-0d44-4b50-8888-8dd25736052a', '2024-03-02', 7, 0.000001, '2024-03-02 23:59:59+00');

INSERT INTO api_keys (id, user_id, team_id, key_prefix, name, scope, is_active, created_at, last_used_at, revoked_at, expires_at, rotation_parent_key_id) VALUES
    ('8a90c3cc-0d44-4b50-8888-8dd25736052a', '3c90c3cc-0d44-4b50-8888-8dd25736052a', '7a90c3cc-0d44-4b50-8888-8dd25736052a', 'sk_a', 'ci', 'write', false,
        '2023-12-01 00:00:00+00', '2024-01-15 12:00:00+00', '2024-02-01 00:00:00+00', NULL, NULL),
    ('8b90c3cc-0d44-4b50-8888-8dd25736052a', '3c90c3cc-0d44-4b50-8888-8dd25736052a', '7a90c3cc-0d44-4b50-8888-8dd25736052a', 'sk_b', 'ci', 'write', true,
        '2024-02-01 00:00:00+00', NULL, NULL, '2034-02-01 00:00:00+00', '8a90c3cc-0d44-4b50-8888-8dd25736052a');

INSERT INTO sandboxes (id, user_id, template, status, metadata, started_at, destroyed_at, created_at, updated_at) VALUES
    ('sb-1', '3c90c3cc-0d44-4b50-8888-8dd25736052a', 'python', 'destroyed', '{"path": "C:\\temp\nnext"}', '2024-03-01 10:00:01+00', '2024-03-01 11:00:00+00',
        '2024-03-01 10:00:00+00', '2024-03-01 11:00:00+00'),
    ('sb-2', '3c90c3cc-0d44-4b50-8888-8dd25736052a', 'node', 'paused', '{}', '2024-03-02 10:00:01+00', NULL, '2024-03-02 10:00:00+00', '2024-03-02 12:00:00+00'),
    ('sb-3', '3c90c3cc-0d44-4b50-8888-8dd25736052a', 'node', 'pending', '{"n": 1}', NULL, NULL, '2024-03-03 10:00:00+00', '2024-03-03 10:00:00+00');
