resource {
  cpu {
    max   = 0.5
    quota = "50ms"
  }

  memory {
    max  = "1MiB"
    high = "3GiB"
  }

  pids {
    max = 0
  }

  rlimit "NOFILE" {
    soft = 1
  }

  rlimit "stack" {
    soft = "16MiB"
    hard = "8MiB"
  }

  rlimit "core" {
    hard = "unlimited"
  }
}
