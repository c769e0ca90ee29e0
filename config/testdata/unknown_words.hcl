netwrok {
  default = "deny"
}

network {
  defalt = "deny"

  egres "a" {
    ports = [443]
  }

  egress "b" {
    domain = ["example.com"]
    ports  = [443]
  }
}

resource {
  memory = "1GiB"

  cpu {
    maximum = 2
  }
}

evn = {}

filesystem {
  workspace "x" {
  }

  mount {
    source = "models"
  }

  mount "/a" "/b" {
    source = "models"
  }

  size {
  }
}
