# Starts from Ubuntu's cloud image, which cloud-init opens with the seed that Packer serves over HTTP. Which image, and
# its checksum, is told to image/build.sh (UBUNTU_IMAGE, UBUNTU_IMAGE_SHA256): they change with every release.
use_backing_file = false
disk_size        = "12G"
smbios           = "type=1,serial=ds=nocloud-net;s=http://{{ .HTTPIP }}:{{ .HTTPPort }}/"
bootstrap = [
  "cloud-init status --wait",
  "mkdir /root/bootstrap",
  "curl -fsS http://$PACKER_HTTP_ADDR/bootstrap.tar | tar -x --no-same-owner -C /root/bootstrap",
  "/bin/bash /root/bootstrap/bootstrap.sh",
  "rm -r /root/bootstrap",
]
