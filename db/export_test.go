package db

import "time"

// SetPatience sets how long guests wait for PostgreSQL.
func (d *DB) SetPatience(p time.Duration) { d.patience = p }
