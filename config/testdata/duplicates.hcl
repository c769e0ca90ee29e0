network {
}

network {
}

package "Flask" {
}

package "flask" {
}

resource {
  memory {
    max = "1GiB"
    max = "2GiB"
  }

  rlimit "core" {
    soft = 0
  }

  rlimit "core" {
    soft = 1
  }
}

locals {
  a = 1
}

locals {
  a = 2
}

variable "v" {
  default = 1
}

variable "v" {
  default = 2
}

resource {
  pids {
    max = "many"
  }
}
