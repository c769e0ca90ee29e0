network {
  bandwidth {
    egress  = 10
    ingress = "10"
  }

  connections {
    max  = 0
    rate = 20
  }

  egress "mb" {
    domains = ["example.com"]
    ports   = [443]

    bandwidth {
      egress  = "10mb"
      ingress = "0"
    }

    connections {
      max  = 70000
      rate = "20/d"
    }

    quota {
      egress = "0"
      window = "12"
    }
  }

  egress "huge" {
    domains = ["example.com"]
    ports   = [443]

    bandwidth {
      egress  = "99999999999gbit"
      ingress = -5
    }

    connections {
      max  = -1
      rate = "0/s"
    }

    quota {
      window = "24h"
    }
  }

  egress "odd" {
    domains = ["example.com"]
    ports   = [443]

    bandwidth {
    }

    connections {
      max   = 2000
      burst = 3
    }

    limits {
    }
  }

  egress "ping" {
    cidrs    = ["192.0.2.1"]
    protocol = "icmp"

    quota {
      egress = "1MiB"
    }
  }

  ingress "web" {
    port = 8000

    bandwidth {
      upload = "10mbit"
    }

    quota {
    }
  }
}
