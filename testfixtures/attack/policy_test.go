package attack

// policy is what the attackers may do: as much as somebody might write who is not careful.
const policy = `  filesystem {
    workspace {
      source = "."
    }
  }
  network {
    egress "web" {
      domains = ["good.example"]
      ports   = [80, 443, 8080, 8081, 8443, 8444]
    }
    egress "echo" {
      domains = ["echo.example"]
      ports   = [7]
    }
    egress "many" {
      domains = ["*.many.example"]
      ports   = [443]
    }
    egress "wild" {
      domains = ["*.wild.example"]
      ports   = [443]
    }
    egress "database" {
      cidrs = ["198.41.0.4/32"]
      ports = [5432]
    }
    egress "datagram" {
      cidrs    = ["198.41.0.5/32"]
      ports    = [4500]
      protocol = "udp"
    }
    egress "ping" {
      cidrs    = ["198.41.0.7/32"]
      protocol = "icmp"
    }
    egress "opaque" {
      domains  = ["opaque.example"]
      ports    = [443]
      protocol = "tcp"
    }
    egress "environment" {
      environments = ["neighbour"]
      ports        = [8765]
    }
    egress "wide" {
      cidrs = ["0.0.0.0/0", "::/0"]
      ports = [8082]
    }
    egress "rebinding" {
      domains = ["%s"]
      ports   = [8081]
    }
    dns {
      servers = ["9.9.9.9"]
    }
  }
`

const neighbourPolicy = `  filesystem {
    workspace {
      source = "."
    }
  }
  network {
    egress "web" {
      domains = ["good.example", "neighbour.example"]
      ports   = [443]
    }
    ingress "friends" {
      port         = 8765
      environments = ["friend"]
    }
    ingress "service" {
      port    = %d
      publish = "127.0.0.1:%d"
    }
    dns {
      servers = ["9.9.9.9"]
    }
  }
`
