locals {
  huge  = pow(10, 400)
  wide  = format("%99999999s", "x")
  deep  = replace(join("", [for i in range(1000) : "x"]), "", join("", [for i in range(1000) : "y"]))
  x1    = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
  x2    = "${local.x1}${local.x1}${local.x1}${local.x1}${local.x1}${local.x1}${local.x1}${local.x1}"
  x3    = "${local.x2}${local.x2}${local.x2}${local.x2}${local.x2}${local.x2}${local.x2}${local.x2}"
  x4    = "${local.x3}${local.x3}${local.x3}${local.x3}${local.x3}${local.x3}${local.x3}${local.x3}"
  x5    = "${local.x4}${local.x4}${local.x4}${local.x4}${local.x4}${local.x4}${local.x4}${local.x4}"
  x6    = "${local.x5}${local.x5}${local.x5}${local.x5}${local.x5}${local.x5}${local.x5}${local.x5}"
  loops = [for a in range(1000) : [for b in range(1000) : [for c in range(1000) : "x"]]]
}
