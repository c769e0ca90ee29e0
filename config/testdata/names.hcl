variable "region" {
  default = "eu"
}

locals {
  settings = {
    name = "x"
    port = 80
  }
  twice = uper("x")
  yaml  = yamldecode("a: b")
}

env = {
  A = var.regoin
  B = local.setings
  C = local.settings.nme
  D = path.modul
  E = lokal.x
  F = host
}
