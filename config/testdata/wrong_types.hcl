python {
  version = 3.10
  index   = "https://pypi.org/simple"
}

network {
  default = deny

  egress "a" {
    domains = ["example.com", 7]
    ports   = ["443", 80.5, 70000]
  }

  egress "b" {
    domains = ["example.com"]
    ports   = 443
  }
}

resource {
  memory {
    max  = 512
    high = "400"
    swap = 0
  }

  cpu {
    quota  = 50
    period = "50 hours"
    weight = 0
  }

  pids {
    max = "128"
  }

  io {
    read_bps = "1.5B"
  }

  rlimit "nofile" {
    soft = "many"
  }
}

env = {
  PORT  = 8080
  DEBUG = true
}
