# Current Packer brings neither QEMU nor Ansible with it: packer init image/plugins
# Packer 1.6.6, as in Debian 12, has both built in and rejects this block; that is why it stands in a directory of its own.
packer {
  required_plugins {
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = "~> 1.1"
    }
    ansible = {
      source  = "github.com/hashicorp/ansible"
      version = "~> 1.1"
    }
  }
}
