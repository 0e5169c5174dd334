package admin

// Of the conditions here a is a row of the first generation and b of the second, $1 and
// $2 are the positions up to which these have everything, $3 says whether they follow
// the same stream, and $4 is the end of the second's; see [horizons].

// rowSections are the sections of which the row itself tells that they differ.
const rowSections = `concat_ws(' ',
    CASE WHEN a.user_json IS DISTINCT FROM b.user_json THEN 'user' END,
    CASE WHEN a.team_json IS DISTINCT FROM b.team_json OR a.quota_tier_id IS DISTINCT FROM b.quota_tier_id THEN 'team' END,
    CASE WHEN a.usage_tail IS DISTINCT FROM b.usage_tail OR a.usage_pages <> b.usage_pages OR a.usage_low <> b.usage_low THEN 'quota_usage' END,
    CASE WHEN a.keys_tail IS DISTINCT FROM b.keys_tail OR a.key_pages <> b.key_pages THEN 'api_keys' END,
    CASE WHEN a.sandboxes_tail IS DISTINCT FROM b.sandboxes_tail OR a.sandbox_pages <> b.sandbox_pages THEN 'sandboxes' END,
    CASE WHEN a.parked <> b.parked THEN 'parked' END,
    CASE WHEN a.waiting <> b.waiting THEN 'waiting' END,
    CASE WHEN a.erased_at IS DISTINCT FROM b.erased_at THEN 'erased' END,
    CASE WHEN a.counted_at = a.position AND b.counted_at = b.position AND a.messages <> b.messages THEN 'messages' END)`

// sameDigest holds where both rows record what is stored of them, and it is the
// same.
const sameDigest = `a.counted_at = a.position AND b.counted_at = b.position
    AND a.digest_high = b.digest_high AND a.digest_low = b.digest_low`

// settled holds where the second generation has everything that it can have of what a
// row of the first is made of: it has come as far, or its stream ends before; see
// [horizons].
const settled = `(a.position <= $2 OR a.position > $4)`

// lags holds where the second has less than the first although that is settled, or
// the first less than the second of the same stream, although it has come as far.
const lags = `($3 AND a.position < b.position AND b.position <= $1 OR b.position < a.position AND ` + settled + `)`

// willBeErased holds for an account that is erased in the first alone, and on the
// ledger, so that it will be erased in the second.
const willBeErased = `(a.erased_at IS NOT NULL AND b.erased_at IS NULL
    AND EXISTS (SELECT FROM export.erasures e WHERE e.account_id = a.account_id))`

// erasedElsewhere holds for an account that is served and that another stream has
// erased.
const erasedElsewhere = `(NOT $3 AND a.erased_at IS NULL AND a.account_id IS NOT NULL AND b.erased_at IS NOT NULL AND a.position <> b.position)`
