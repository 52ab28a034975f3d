-- name: AddRun :execrows
-- No row when another one runs.
INSERT INTO simulations (id, state, ending, started_by, asked, at_once, keep, forget, created_at, ended_at, touched_at,
    removed_at, lease_until, deadline)
VALUES ($1, 'running', '', $2, $3, $4, $5, FALSE, $6, 0, 0, 0, $7, $8)
ON CONFLICT DO NOTHING;

-- name: AddVideo :exec
INSERT INTO simulation_videos (id, run, number, original, channel, title, prefix, duration_ms, sent_at, begun_at,
    processed_at, lifecycle_at, judged_at, ended_at, status, reason, compute, skipped)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, 0, 0, 0, 0, '', '', '', '[]');

-- name: Run :one
SELECT * FROM simulations WHERE id = $1;

-- name: LockRun :one
-- Locks the run until the transaction ends.
UPDATE simulations SET id = id WHERE id = $1 RETURNING *;

-- name: ListRuns :many
SELECT * FROM simulations
WHERE created_at <= sqlc.arg(at) AND (created_at < sqlc.arg(at) OR id < sqlc.arg(last_id))
ORDER BY created_at DESC, id DESC LIMIT sqlc.arg(row_count);

-- name: UnfinishedRuns :many
SELECT * FROM simulations WHERE state IN ('running', 'removing') ORDER BY created_at, id;

-- name: RunningRun :one
SELECT id FROM simulations WHERE state = 'running';

-- name: RenewLease :exec
UPDATE simulations SET lease_until = $1 WHERE id = $2 AND state = 'running' AND lease_until > 0 AND lease_until < $1;

-- name: SetState :exec
UPDATE simulations SET state = $1, ending = $2, ended_at = $3, touched_at = $4, removed_at = $5, forget = $6 WHERE id = $7;

-- name: Touch :exec
UPDATE simulations SET touched_at = $1 WHERE id = $2 AND state = 'removing';

-- name: DeleteRun :exec
DELETE FROM simulations WHERE id = $1;

-- name: DeleteVideos :exec
DELETE FROM simulation_videos WHERE run = $1;

-- name: OldRuns :many
-- The removed ones after the newest, and those from before a time.
SELECT s.id FROM simulations s
WHERE s.state = 'removed' AND (s.created_at < sqlc.arg(before)
    OR (SELECT count(*) FROM simulations n WHERE n.created_at > s.created_at
        OR n.created_at = s.created_at AND n.id > s.id) >= CAST(sqlc.arg(newest) AS BIGINT))
ORDER BY s.created_at;

-- name: Video :one
SELECT * FROM simulation_videos WHERE id = $1;

-- name: LockVideo :one
UPDATE simulation_videos SET id = id WHERE id = $1 RETURNING *;

-- name: SaveVideo :exec
UPDATE simulation_videos SET sent_at = $1, begun_at = $2, processed_at = $3, lifecycle_at = $4, judged_at = $5, ended_at = $6,
    status = $7, reason = $8, compute = $9, skipped = $10 WHERE id = $11;

-- name: Videos :many
SELECT * FROM simulation_videos WHERE run = $1 ORDER BY number;

-- name: VideosAfter :many
SELECT * FROM simulation_videos WHERE run = $1 AND number > $2 ORDER BY number LIMIT $3;

-- name: Sent :many
SELECT id FROM simulation_videos WHERE run = $1 AND sent_at > 0 ORDER BY number;

-- name: CountWorking :one
SELECT count(*) FROM simulation_videos WHERE run = $1 AND sent_at > 0 AND ended_at = 0;

-- name: Unsent :many
SELECT * FROM simulation_videos WHERE run = $1 AND sent_at = 0 ORDER BY number LIMIT $2;

-- name: MarkSent :exec
UPDATE simulation_videos SET sent_at = $1 WHERE id = $2;

-- name: Lives :one
-- Whether a video belongs to a run that has not been removed.
SELECT EXISTS (SELECT 1 FROM simulation_videos v JOIN simulations s ON s.id = v.run
    WHERE v.id = $1 AND s.state <> 'removed');
