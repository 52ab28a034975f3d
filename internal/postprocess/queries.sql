-- name: AddJob :exec
INSERT INTO postprocess_jobs (id, channel, prefix, duration_ms, state, reason, created_at, updated_at)
VALUES ($1, $2, $3, $4, 'waiting', '', $5, $6)
ON CONFLICT (id) DO NOTHING;

-- name: SetState :exec
UPDATE postprocess_jobs SET state = $1, reason = $2, updated_at = $3 WHERE id = $4;

-- name: UnfinishedJobs :many
-- The oldest first, from after the given one on.
SELECT * FROM postprocess_jobs
WHERE state IN ('waiting', 'processing')
    AND (created_at > sqlc.arg(after_created) OR created_at = sqlc.arg(after_created) AND id > sqlc.arg(after_id))
ORDER BY created_at, id LIMIT sqlc.arg(row_count);

-- name: GetJob :one
SELECT * FROM postprocess_jobs WHERE id = $1;
