locals {
  c     = local.a
  a     = "${local.b}x"
  b     = [local.c]
  alone = local.alone
  d     = local.e
  e     = local.d
  f     = local.a
}

env = {
  A = local.f
}
