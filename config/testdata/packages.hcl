python {
  version  = "three"
  manifest = "../requirements.txt"
  index    = ["pypi.org", "https://me:pw@example.com/simple"]
  lock     = "/etc/lock.toml"
}

package "requests" {
  version = "2.32"
}

package "flask" {
  version = ">= 3 <4"
  extras  = ["a b"]
  marker  = "python > 3"
}

package "flask==3" {
}
