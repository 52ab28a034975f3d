-- name: Version :one
SELECT version FROM rules_version WHERE id = 1;

-- name: RaiseVersion :exec
UPDATE rules_version SET version = version + 1 WHERE id = 1;

-- name: EnabledRules :many
SELECT id, name, pattern, target FROM rules WHERE enabled = TRUE ORDER BY created_at, id;

-- name: CountRules :one
SELECT count(*) FROM rules;

-- name: AddRule :exec
INSERT INTO rules (id, name, description, enabled, pattern, target, url, max_tries, secret_sealed, old_secret_sealed,
    old_secret_until, created_at, updated_at, argument)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $11, $12);

-- name: Rule :one
SELECT * FROM rules WHERE id = $1;

-- name: LockRule :one
-- Locks the rule until the transaction ends.
UPDATE rules SET id = id WHERE id = $1 RETURNING *;

-- name: SaveRule :exec
UPDATE rules SET name = $1, description = $2, enabled = $3, pattern = $4, target = $5, url = $6, max_tries = $7,
    secret_sealed = $8, old_secret_sealed = $9, old_secret_until = $10, updated_at = $11, argument = $12
WHERE id = $13;

-- name: DeleteRule :execrows
DELETE FROM rules WHERE id = $1;

-- name: ListRules :many
SELECT * FROM rules
WHERE created_at < sqlc.arg(at) OR created_at = sqlc.arg(at) AND id < sqlc.arg(last_id)
ORDER BY created_at DESC, id DESC LIMIT sqlc.arg(row_count);

-- name: RuleIDs :many
SELECT id FROM rules;

-- name: CountDeliveries :one
-- Counts no further than most.
SELECT count(*) FROM (SELECT 1 FROM rule_deliveries WHERE rule_id = sqlc.arg(rule_id) AND state = sqlc.arg(state) LIMIT sqlc.arg(most)) AS counted;

-- name: CountAllDeliveries :one
-- Counts no further than most.
SELECT count(*) FROM (SELECT 1 FROM rule_deliveries WHERE state = sqlc.arg(state) LIMIT sqlc.arg(most)) AS counted;

-- name: AddDelivery :execrows
INSERT INTO rule_deliveries (id, rule_id, event_id, event, replay, source, detail_type, about, body, state, tries, due_at, lease,
    holder, leased_until, attempts, created_at, ended_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', 0, $10, '', '', 0, '[]', $10, 0)
ON CONFLICT DO NOTHING;

-- name: DeliveriesOfEvent :many
-- What all rules have made of an event, the oldest first.
SELECT sqlc.embed(d), r.name AS rule_name FROM rule_deliveries d JOIN rules r ON r.id = d.rule_id
WHERE d.event = sqlc.arg(event) ORDER BY d.created_at, d.id LIMIT sqlc.arg(row_count);

-- name: Withdraw :execrows
-- Deletes what waits of a replay. What is in work is made.
DELETE FROM rule_deliveries WHERE rule_id = sqlc.arg(rule_id) AND state = 'pending' AND lease = '' AND replay = sqlc.arg(replay);

-- name: DueRules :many
-- The enabled rules that have something to be tried now.
SELECT r.* FROM rules r
WHERE r.enabled = TRUE AND EXISTS (
    SELECT 1 FROM rule_deliveries d
    WHERE d.rule_id = r.id AND d.state = 'pending' AND d.due_at <= sqlc.arg(now) AND d.leased_until <= sqlc.arg(now))
ORDER BY r.id;

-- name: Claim :many
-- The condition on the lease stands twice: on PostgreSQL the outer one is asked
-- again when another node has changed the row meanwhile.
UPDATE rule_deliveries SET lease = sqlc.arg(lease), holder = sqlc.arg(holder), leased_until = sqlc.arg(until), tries = tries + 1
WHERE rule_deliveries.leased_until <= sqlc.arg(now) AND rule_deliveries.state = 'pending' AND rule_deliveries.id IN (
    SELECT d.id FROM rule_deliveries d
    WHERE d.rule_id = sqlc.arg(rule_id) AND d.state = 'pending' AND d.due_at <= sqlc.arg(now) AND d.leased_until <= sqlc.arg(now)
    ORDER BY d.due_at LIMIT sqlc.arg(row_count))
RETURNING *;

-- name: ClockSetBack :exec
-- What was to be tried by a clock that was ahead: a first try now, later ones as
-- much sooner as the clock was set back.
UPDATE rule_deliveries SET due_at = CASE WHEN tries = 0 THEN sqlc.arg(now) ELSE due_at - sqlc.arg(back) END
WHERE state = 'pending' AND due_at > sqlc.arg(now);

-- name: Settle :execrows
-- Only who still holds the lease says what became of a try.
UPDATE rule_deliveries SET state = $1, due_at = $2, attempts = $3, ended_at = $4, lease = '', holder = '', leased_until = 0
WHERE id = $5 AND lease = $6;

-- name: ReleaseHeld :execrows
-- What a node had claimed when it was killed.
UPDATE rule_deliveries SET lease = '', holder = '', leased_until = 0 WHERE holder = $1;

-- name: ListDeliveries :many
SELECT * FROM rule_deliveries
WHERE rule_id = sqlc.arg(rule_id) AND (created_at < sqlc.arg(at) OR created_at = sqlc.arg(at) AND id < sqlc.arg(last_id))
ORDER BY created_at DESC, id DESC LIMIT sqlc.arg(row_count);

-- name: ListDeliveriesInState :many
SELECT * FROM rule_deliveries
WHERE rule_id = sqlc.arg(rule_id) AND state = sqlc.arg(state)
    AND (created_at < sqlc.arg(at) OR created_at = sqlc.arg(at) AND id < sqlc.arg(last_id))
ORDER BY created_at DESC, id DESC LIMIT sqlc.arg(row_count);

-- name: Delivery :one
SELECT * FROM rule_deliveries WHERE rule_id = $1 AND id = $2;

-- name: Redrive :execrows
UPDATE rule_deliveries SET state = 'pending', tries = 0, due_at = $1, ended_at = 0
WHERE rule_id = $2 AND id = $3 AND state = 'dead';

-- name: RedriveAll :execrows
UPDATE rule_deliveries SET state = 'pending', tries = 0, due_at = $1, ended_at = 0
WHERE rule_id = $2 AND state = 'dead';

-- name: PurgeDead :execrows
DELETE FROM rule_deliveries WHERE rule_id = $1 AND state = 'dead';

-- name: PruneOld :exec
DELETE FROM rule_deliveries WHERE state = $1 AND ended_at < $2;

-- name: PruneMany :execrows
-- Deletes what is older than the newest ones of a state.
DELETE FROM rule_deliveries WHERE rule_deliveries.id IN (
    SELECT d.id FROM rule_deliveries d WHERE d.rule_id = sqlc.arg(rule_id) AND d.state = sqlc.arg(state)
    ORDER BY d.created_at DESC, d.id DESC LIMIT 1000 OFFSET sqlc.arg(kept));

-- name: GiveUpMany :execrows
-- Makes the newest ones beyond the most that may wait dead letters. Those in
-- work are left alone.
UPDATE rule_deliveries SET state = 'dead', ended_at = sqlc.arg(now), attempts = sqlc.arg(attempts)
WHERE rule_deliveries.state = 'pending' AND rule_deliveries.lease = '' AND rule_deliveries.id IN (
    SELECT d.id FROM rule_deliveries d WHERE d.rule_id = sqlc.arg(rule_id) AND d.state = 'pending'
    ORDER BY d.created_at, d.id LIMIT 1000 OFFSET sqlc.arg(most));

-- name: Abouts :many
-- What deliveries are about that go with their video.
SELECT DISTINCT about FROM rule_deliveries
WHERE about > sqlc.arg(after) AND NOT (source = sqlc.arg(source) AND detail_type = sqlc.arg(detail_type))
ORDER BY about LIMIT sqlc.arg(row_count);

-- name: RemoveAbout :execrows
-- But that it was deleted is told.
DELETE FROM rule_deliveries
WHERE about = sqlc.arg(about) AND NOT (source = sqlc.arg(source) AND detail_type = sqlc.arg(detail_type));
