blast {
  required_version = ">= 9"
  required_verison = "1"
}

output "a" {
  value = "http://${environment.dev.network.ingress.web.publish}"
}

output "b" {
  value = var.missing
}

output "c" {
}

environment "dev" {
  network {
    ingress "web" {
      port    = 8000
      publish = "127.0.0.1:8000"
    }
  }
}

output "d" {
  value = environment.dev.network.ingress.wep.publish
}

output "e" {
  value = environment.prod
}
