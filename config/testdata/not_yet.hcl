module "redis" {
  source = "./redis"
}

check "imports" {
  command  = ["true"]
  for_each = ["x"]
}

python {
  on_import = "install"
}

network {
  egress "a" {
    for_each = ["x"]
    domains  = ["example.com"]
    ports    = [443]
  }

  dynamic "egress" {
    for_each = []
  }
}

filesystem {
  base = "python:3.12"

  workspace {
    access = "overlay"
  }

  alert "x" {
    for_each = toset(["a"])
    event    = "delete"
  }
}

process {
  seccomp = "my.json"
}
