python {
  manifest = "requirements.txt"
}
