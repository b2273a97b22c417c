"""How the embedded PostgreSQL is set up: its version, its users, and settings small enough for a town."""

from __future__ import annotations

MAJOR = 18
ADMIN = "takt_admin"  # the superuser; only set-up, backup and restore use it
USER = DATABASE = "takt"  # owns the database and nothing else

# Small enough for a town on one machine. Durability stays on: fsync and synchronous_commit are PostgreSQL's defaults
# and are stated because the receipts that validators get rest on them.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "effective_cache_size": "512MB",
    "min_wal_size": "80MB",
    "max_wal_size": "1GB",  # a backlog of taps is not to begin a checkpoint every few seconds; else the clock does
    "wal_buffers": "8MB",  # four batches of taps at once write more than the usual two
    "wal_compression": "off",  # of this build's methods only the slowest: a twelfth of what a tap costs
    "autovacuum_max_workers": "2",
    "max_worker_processes": "4",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",  # its worker processes cost memory and a small database gains nothing by them
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "tcp_keepalives_idle": "30",
}
